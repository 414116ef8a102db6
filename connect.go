package silt

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/datagen"
	"github.com/siltlake/silt/internal/httpd"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

const (
	connectPort = 8083 // Connect's own
	// connectTimeout is how long a call may take: a restart waits for records under way and for the registry.
	connectTimeout = 60 * time.Second
	maxRESTFile    = 16 << 10

	restURL      = "rest.url"
	restUserInfo = "rest.user.info"
)

// serveConnector answers Connect's REST calls on the listener, which it closes, until the function that it returns is called.
func serveConnector(ctx context.Context, l net.Listener, c *datagen.Connector, login httpd.Login, log *slog.Logger) (stop func()) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := problem.Catch("the connector's REST interface", func() error {
			return httpd.Serve(serving, l, httpd.Server{
				Handler: httpd.NewGuard(login).Handler("silt datagen", c.Handler()), Timeout: connectTimeout, Log: log,
			})
		})
		if err != nil {
			log.Error("the connector's REST interface has ended", "error", err)
		}
	}()
	return func() { cancel(); <-done }
}

// listenLoopback listens on the port of the loopback interface, or on a free one if it is taken.
func listenLoopback(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	return l, err
}

func newKeyPair() (key, secret string) { return rand.Text()[:16], rand.Text() + rand.Text() }

// restFile is the text of a file that says where a connector's REST interface is, and the login.
func restFile(addr, key, secret string) string {
	return textOf(restURL+"=http://"+addr, restUserInfo+"="+key+":"+secret)
}

// ReadRESTFile reads the connect.properties of a demo, or what DatagenOptions.RESTFile named.
func ReadRESTFile(name string) (*datagen.Client, error) {
	var text []byte
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxRESTFile {
		return nil, problem.New(problem.TooLarge, "the file has %d bytes, more than where a connector is needs", info.Size()).At(problem.File(name))
	}
	if err == nil {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		p := problem.New(problem.FileUnreadable, "where the connector is cannot be read: %w", err).At(problem.File(name))
		if errors.Is(err, fs.ErrNotExist) {
			p.Fix("name the folder of a demo, --dir FOLDER, or the file that silt datagen --rest-file wrote")
		}
		return nil, p
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = value
		}
	}
	key, password, ok := strings.Cut(values[restUserInfo], ":")
	if values[restURL] == "" || !ok {
		return nil, problem.New(problem.Syntax, "the file lacks %s or %s=KEY:SECRET", restURL, restUserInfo).At(problem.File(name))
	}
	return &datagen.Client{URL: values[restURL], Key: secret.New(key), Secret: secret.New(password)}, nil
}

// openREST listens for the calls to a connector and writes the file that says where, for its owner alone. remove removes the file.
func openREST(addr, file string) (l net.Listener, login httpd.Login, remove func(), err error) {
	if _, err := ReadRESTFile(file); err != nil {
		if _, statErr := os.Stat(file); !errors.Is(statErr, fs.ErrNotExist) {
			return nil, login, nil, problem.New(problem.PathNotWritable, "the file is there, and does not say where a connector is; it is left as it is").
				At(problem.File(file)).Fix("name one that does not exist")
		}
	}
	if addr == "" {
		l, err = listenLoopback(connectPort)
	} else {
		l, err = net.Listen("tcp", addr)
	}
	if err != nil {
		return nil, login, nil, problem.New(problem.PortTaken, "the connector's REST interface cannot listen: %w", err)
	}
	if !httpd.Loopback(l.Addr()) {
		_ = l.Close()
		return nil, login, nil, problem.New(problem.Insecure, "the connector would listen on %s, beyond this machine, without TLS", l.Addr()).
			Fix("listen on 127.0.0.1")
	}
	key, password := newKeyPair()
	temporary, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp") // mode 0600
	if err == nil {
		_, err = temporary.WriteString(restFile(l.Addr().String(), key, password))
		err = errors.Join(err, temporary.Close())
		if err == nil {
			err = os.Rename(temporary.Name(), file)
		}
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}
	if err != nil {
		_ = l.Close()
		return nil, login, nil, problem.New(problem.PathNotWritable, "where the connector is cannot be written: %w", err).At(problem.File(file))
	}
	return l, httpd.Login{Key: secret.New(key), Secret: secret.New(password)}, func() { _ = os.Remove(file) }, nil
}
