package term

import (
	"io"
	"sync"
)

// A Status is the one line about the running query. On a terminal it is drawn over and over in its place, and other lines that are
// written through it scroll by above; elsewhere each Show is a line of its own. Its methods may be called concurrently.
type Status struct {
	w      io.Writer
	redraw bool
	width  func() int // of the terminal, in characters; asked at each drawing, since windows change

	mu   sync.Mutex
	line string // on the screen now
}

// NewStatus returns a status line on w; redraw says that w is a terminal, and width is called only then.
func NewStatus(w io.Writer, redraw bool, width func() int) *Status {
	return &Status{w: w, redraw: redraw, width: width}
}

// erase goes to the line's begin and clears it (ECMA-48 EL).
const erase = "\r\x1b[K"

// Show replaces the line.
func (s *Status) Show(line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line = Clean(line)
	if !s.redraw {
		_, err := io.WriteString(s.w, line+"\n")
		return err
	}
	// One column stays free: a full line would wrap on some terminals, and erase clears only the last of two.
	s.line = truncate(line, s.width()-1)
	_, err := io.WriteString(s.w, erase+s.line)
	return err
}

// Write writes whole lines of something else above the status line.
func (s *Status) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == "" {
		return s.w.Write(p)
	}
	if _, err := io.WriteString(s.w, erase+string(p)+s.line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Clear takes the line off the screen.
func (s *Status) Clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == "" {
		return nil
	}
	s.line = ""
	_, err := io.WriteString(s.w, erase)
	return err
}

// Close leaves the line on the screen and the cursor below it.
func (s *Status) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == "" {
		return nil
	}
	s.line = ""
	_, err := io.WriteString(s.w, "\n")
	return err
}
