// Package doctor makes the checks that need no login: names, connections, certificates, clocks. Each gives a Finding that says what is wrong
// and what to do. It changes nothing.
package doctor

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

// A Status is what a check found.
type Status uint8

// The statuses.
const (
	OK      Status = iota
	Warning        // it works today, or silt cannot tell
	Failed
	Skipped // a check before it failed
)

var statusNames = [...]string{"ok", "warning", "failed", "skipped"}

func (s Status) String() string { return statusNames[s] }

// MarshalJSON gives the status by name.
func (s Status) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// A Finding is the outcome of one check.
type Finding struct {
	// Check is what was looked at: dns, tcp, tls, clock, login, topic, ...
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Subject is what it was looked at of: broker-1:9092, topic clicks, the table's path.
	Subject string `json:"subject"`
	// Detail says what was seen, or what is wrong.
	Detail string `json:"detail"`
	// Code is the problem's, "" if there is none.
	Code problem.Code `json:"code,omitempty"`
	// Fix says what to do; "" if there is nothing to do.
	Fix string `json:"fix,omitempty"`
}

// Wrong is the finding of a check that ended in err, which is not nil.
func Wrong(check, subject string, err error) Finding {
	f := Finding{Check: check, Status: Failed, Subject: subject, Detail: err.Error()}
	ps := problem.Of(err)
	if len(ps) == 0 {
		return f
	}
	p := ps[0]
	f.Code, f.Detail, f.Fix = p.Code, p.Message, p.Hint
	if p.Why != "" && !strings.Contains(p.Message, p.Why) {
		f.Detail += ": " + p.Why
	}
	return f
}

// Healthy says that no finding is Failed.
func Healthy(findings []Finding) bool {
	for _, f := range findings {
		if f.Status == Failed {
			return false
		}
	}
	return true
}

// What a certificate and a clock may be off.
const (
	// expirySoon is how long before its end a certificate is warned of.
	expirySoon = 21 * 24 * time.Hour
	// skewNoted is what clocks of a well-kept machine do not differ; skewRefused is what signatures of requests are refused at by Azure
	// and S3 (15 minutes), with room for a clock that drifts.
	skewNoted, skewRefused = 30 * time.Second, 10 * time.Minute
)

// Skew judges the clock of this machine by a peer's, as its answer's Date said (in whole seconds), and by when the request was sent and the
// answer came.
func Skew(subject string, date, sent, came time.Time) Finding {
	middle := sent.Add(came.Sub(sent) / 2)
	off := middle.Sub(date)
	f := Finding{Check: "clock", Subject: subject, Detail: "this machine's clock agrees within a few seconds"}
	// The Date header is cut to seconds, and half of the way there and back is not known.
	slack := time.Second + came.Sub(sent)/2
	if off.Abs() <= slack+5*time.Second {
		return f
	}
	side := "ahead of"
	if off < 0 {
		side = "behind"
	}
	f.Detail = "this machine's clock is " + off.Abs().Round(time.Second).String() + " " + side + " it"
	switch {
	case off.Abs() > skewRefused:
		f.Status = Failed
	case off.Abs() > skewNoted:
		f.Status = Warning
	default:
		return f
	}
	f.Fix = "let a time service keep the clock (timedatectl set-ntp true): logins and signatures of requests depend on it"
	return f
}
