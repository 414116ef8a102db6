package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The oldest versions of requests that silt can do with: record batches of magic 2 with transactions came with Kafka 0.11.
const (
	minFetchVersion       = 4
	minListOffsetsVersion = 2 // isolation level
)

// Errors of a probe: something answers, but not as this client needs it.
var (
	errSpeaksTLS = errors.New("it answers with a TLS alert: this port wants TLS")
	errNotKafka  = errors.New("what answers is not a Kafka broker")
	errHangsUp   = errors.New("it closed the connection at the first request")
	errTooOld    = errors.New("the broker is older than Kafka 0.11")
)

// probe connects to an address and asks for its ApiVersions, which a broker answers before any login. franz-go would guess what went
// wrong from the end of a connection; here the bytes that come tell.
func (c *Client) probe(ctx context.Context, addr string) error {
	conn, err := c.dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))

	err = askVersions(conn, c.opts.ClientID)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", addr, err)
	}
	return nil
}

// askVersions sends ApiVersions version 0 and reads the answer.
func askVersions(conn net.Conn, clientID string) error {
	req := kmsg.NewPtrApiVersionsRequest()
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))
	if _, err := conn.Write(f.AppendRequest(nil, req, 0)); err != nil {
		return hangUp(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return hangUp(err)
	}
	const alert, tlsMajor, largest = 0x15, 0x03, 1 << 20
	n := binary.BigEndian.Uint32(size[:])
	switch {
	case size[0] == alert && size[1] == tlsMajor:
		return errSpeaksTLS
	case n < 4 || n > largest: // also the text of HTTP and of others
		return errNotKafka
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(conn, body); err != nil {
		return hangUp(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(body[4:]); err != nil {
		return errNotKafka
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	most := map[int16]int16{}
	for _, k := range resp.ApiKeys {
		most[k.ApiKey] = k.MaxVersion
	}
	if most[int16(kmsg.Fetch)] < minFetchVersion || most[int16(kmsg.ListOffsets)] < minListOffsetsVersion {
		return errTooOld
	}
	return nil
}

// hangUp tells the end of a connection from other errors.
func hangUp(err error) error {
	var op *net.OpError
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && !op.Timeout() {
		return errHangsUp
	}
	return err
}
