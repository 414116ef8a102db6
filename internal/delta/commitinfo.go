package delta

import (
	"encoding/json"
	"slices"
)

// CommitInfo says who made a commit and how. Its content is free, and nothing is decided by it but two things: TxnID tells our own commit,
// and InCommitTimestamp, where the table has that feature, is the commit's time.
type CommitInfo struct {
	InCommitTimestamp   int64 // milliseconds since 1970; 0 none
	Timestamp           int64 // milliseconds since 1970; 0 not known
	Operation           string
	OperationParameters Object
	ReadVersion         int64 // the version that the commit was made from; -1 none
	IsolationLevel      string
	IsBlindAppend       *bool
	OperationMetrics    Object // Spark writes all values as strings
	UserMetadata        string
	EngineInfo          string
	TxnID               string
	// Silt is the key of that name, which silt's own commits have; package table knows what is in it.
	Silt json.RawMessage
	// Extra are the other keys of commits by others: userName, job, tags and so on.
	Extra Object
}

// appendJSON writes the keys in the order of Spark's case class CommitInfo; with in-commit timestamps that one has to come first.
func (c *CommitInfo) appendJSON(b []byte) []byte {
	w := open(b, "commitInfo")
	if c.InCommitTimestamp != 0 {
		w.int("inCommitTimestamp", c.InCommitTimestamp)
	}
	w.int("timestamp", c.Timestamp)
	w.text("operation", c.Operation)
	w.raw("operationParameters", c.OperationParameters.append(nil))
	if c.ReadVersion >= 0 {
		w.int("readVersion", c.ReadVersion)
	}
	w.optionalText("isolationLevel", c.IsolationLevel)
	if c.IsBlindAppend != nil {
		w.bool("isBlindAppend", *c.IsBlindAppend)
	}
	if c.OperationMetrics != nil {
		w.raw("operationMetrics", c.OperationMetrics.append(nil))
	}
	w.optionalText("userMetadata", c.UserMetadata)
	w.optionalText("engineInfo", c.EngineInfo)
	w.optionalText("txnId", c.TxnID)
	if c.Silt != nil {
		w.raw("silt", c.Silt)
	}
	w.members(c.Extra)
	return w.close()
}

// decodeCommitInfo never fails on a value of an unexpected type: such a key goes to Extra.
func decodeCommitInfo(s *scanner) (*CommitInfo, error) {
	c := &CommitInfo{ReadVersion: -1}
	err := s.object(func(key []byte) error {
		raw, err := s.raw()
		if err != nil {
			return err
		}
		if string(raw) != "null" && !c.set(string(key), raw) {
			c.Extra = append(c.Extra, Member{string(key), slices.Clone(raw)})
		}
		return nil
	})
	return c, err
}

func (c *CommitInfo) set(key string, raw []byte) bool {
	var err error
	v := scanner{b: raw}
	switch key {
	case "inCommitTimestamp":
		c.InCommitTimestamp, err = v.int()
	case "timestamp":
		c.Timestamp, err = v.int()
	case "operation":
		c.Operation, err = v.str()
	case "operationParameters":
		c.OperationParameters, err = parseObject(raw)
	case "readVersion":
		c.ReadVersion, err = v.int()
	case "isolationLevel":
		c.IsolationLevel, err = v.str()
	case "isBlindAppend":
		var blind bool
		if blind, err = v.bool(); err == nil {
			c.IsBlindAppend = &blind
		}
	case "operationMetrics":
		c.OperationMetrics, err = parseObject(raw)
	case "userMetadata":
		c.UserMetadata, err = v.str()
	case "engineInfo":
		c.EngineInfo, err = v.str()
	case "txnId":
		c.TxnID, err = v.str()
	case "silt":
		c.Silt = slices.Clone(raw)
	default:
		return false
	}
	return err == nil
}
