package broker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/siltlake/silt/internal/filelock"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// The files of a broker's directory. All are for the owner alone.
const (
	lockFile   = "lock"
	stateFile  = "broker.json" // port and API key
	usersFile  = "users.json"  // credentials, no passwords
	caFile     = "ca.pem"      // what clients have to trust
	caKeyFile  = "ca-key.pem"  // signs the server's certificates
	serverFile = "server.pem"  // key and chain
	dataDir    = "data"        // kfake's
	cleanFile  = "stopped"     // in data: there after a clean stop, while no broker runs
)

// A Credential is what a client logs in with.
type Credential struct {
	User     string
	Password secret.Secret
}

// state is what later starts take over.
type state struct {
	Port     int    `json:"port"`
	User     string `json:"user"`
	Password string `json:"password"`
}

// openFolder makes the directory and locks it. The lock ends with unlock or with the process.
func openFolder(ctx context.Context, dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Join(dir, dataDir), 0o700); err != nil {
		return nil, problem.New(problem.PathNotWritable, "the broker's directory cannot be made").At(problem.File(dir)).Because(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, problem.New(problem.PathNotWritable, "the broker's directory is not ours").At(problem.File(dir)).Because(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, problem.New(problem.PathNotWritable, "the broker's directory cannot be written").At(problem.File(dir)).Because(err)
	}
	err = untilGone(ctx, isLocked, func() error { return filelock.Try(f) })
	if err == nil {
		return f.Close, nil
	}
	_ = f.Close()
	if !isLocked(err) {
		return nil, err
	}
	return nil, problem.New(problem.FolderInUse, "another process runs a broker in this directory").At(problem.File(dir)).
		Fix("stop it, or use another directory")
}

func isLocked(err error) bool { return errors.Is(err, filelock.ErrLocked) }

// loadState reads what the last start kept; at the first start it makes an API key in Confluent Cloud's form.
func loadState(file string) (s state, first bool, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return state{User: rand.Text()[:16], Password: rand.Text() + rand.Text()}, true, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil || s.User == "" || s.Password == "" || s.Port <= 0 || s.Port > 65535 {
		return state{}, false, problem.New(problem.CorruptState, "the broker's settings cannot be read").At(problem.File(file)).Because(err).
			Fix("restore the file, or remove it: the broker then takes another port and makes another API key")
	}
	return s, false, nil
}

// listen opens the port that o asks for, else the kept one, else the preferred one if it is free, else any.
func listen(ctx context.Context, o Options, kept int) (net.Listener, error) {
	open := func(port int) (net.Listener, error) {
		return net.Listen("tcp", net.JoinHostPort(o.Host, strconv.Itoa(port)))
	}
	port := o.Port
	if port == 0 {
		port = kept
	}
	if port == 0 && o.PreferPort != 0 {
		if ln, err := open(o.PreferPort); err == nil {
			return ln, nil
		}
	}
	ln, err := open(port)
	if err != nil && o.Port == 0 && kept != 0 {
		ln, err = ListenAgain(ctx, o.Host, kept)
	}
	if err == nil {
		return ln, nil
	}
	p := problem.New(problem.PortTaken, "the broker cannot listen on %s", net.JoinHostPort(o.Host, strconv.Itoa(port))).Because(err)
	if o.Port == 0 {
		return nil, p.Fix("stop what uses port %d: the broker had it before, and its clients know it", port)
	}
	return nil, p.Fix("stop what uses port %d, or give another port", port)
}

// writeJSON replaces a file of ours, so that a reader, and a start after a crash, finds the old or the new one whole.
func writeJSON(file string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(file, append(b, '\n'))
}

func writeFile(file string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
