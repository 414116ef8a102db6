package broker

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The mechanisms' numbers in the credentials APIs (KIP-554), and Apache Kafka's bounds (ScramMechanism).
const (
	scramNumber256    = 1
	scramNumber512    = 2
	maxScramIteration = 16384
)

// errNothingChanged keeps what was before a request that holds something wrong.
var errNothingChanged = errors.New("nothing changed")

func scramMechanism(number int8) (string, bool) {
	switch number {
	case scramNumber256:
		return mechScram256, true
	case scramNumber512:
		return mechScram512, true
	}
	return "", false
}

// describe answers DescribeUserScramCredentials: the mechanisms and iterations of the users asked for, or of all.
func (u *users) describe(req *kmsg.DescribeUserSCRAMCredentialsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	resp.Version = req.Version
	var names []string
	for _, asked := range req.Users {
		names = append(names, asked.Name)
	}
	if req.Users == nil {
		names = u.names()
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		r.User = name
		found, ok := u.get(name)
		if !ok {
			text := "Attempt to describe a user credential that does not exist: " + name
			r.ErrorCode, r.ErrorMessage = kerr.ResourceNotFound.Code, &text
		}
		for number := int8(scramNumber256); number <= scramNumber512; number++ {
			mechanism, _ := scramMechanism(number)
			if c := *found.credential(mechanism); c != nil {
				info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
				info.Mechanism, info.Iterations = number, int32(c.Iterations)
				r.CredentialInfos = append(r.CredentialInfos, info)
			}
		}
		resp.Results = append(resp.Results, r)
	}
	return resp
}

// alter answers AlterUserScramCredentials. Either all of a request takes effect or nothing.
func (u *users) alter(req *kmsg.AlterUserSCRAMCredentialsRequest) kmsg.Response {
	resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	resp.Version = req.Version
	at := map[string]int{}
	result := func(name string) *kmsg.AlterUserSCRAMCredentialsResponseResult {
		if _, ok := at[name]; !ok {
			at[name] = len(resp.Results)
			r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
			r.User = name
			resp.Results = append(resp.Results, r)
		}
		return &resp.Results[at[name]]
	}
	failed := false
	fail := func(name string, err *kerr.Error, text string) {
		r := result(name)
		r.ErrorCode, r.ErrorMessage, failed = err.Code, &text, true
	}
	err := u.change(func(m map[string]user) error {
		for _, d := range req.Deletions {
			changed := m[d.Name]
			mechanism, ok := scramMechanism(d.Mechanism)
			result(d.Name)
			if !ok {
				fail(d.Name, kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
				continue
			}
			if *changed.credential(mechanism) == nil {
				fail(d.Name, kerr.ResourceNotFound, "Attempt to delete a user credential that does not exist")
				continue
			}
			if *changed.credential(mechanism) = nil; changed == (user{}) {
				delete(m, d.Name)
			} else {
				m[d.Name] = changed
			}
		}
		for _, up := range req.Upsertions {
			changed := m[up.Name]
			mechanism, ok := scramMechanism(up.Mechanism)
			result(up.Name)
			switch {
			case !ok:
				fail(up.Name, kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
			case up.Name == "" || len(up.Name) > maxNameBytes || len(up.Salt) == 0 || len(up.SaltedPassword) != hashOf(mechanism)().Size():
				fail(up.Name, kerr.UnacceptableCredential, "Username, salt or salted password is empty or of a wrong length")
			case up.Iterations < scramIterations || up.Iterations > maxScramIteration:
				fail(up.Name, kerr.UnacceptableCredential, "Too few or too many iterations")
			default:
				*changed.credential(mechanism) = credentialOf(mechanism, up.Salt, int(up.Iterations), up.SaltedPassword)
				m[up.Name] = changed
			}
		}
		if failed {
			return errNothingChanged
		}
		return nil
	})
	for i := range resp.Results {
		switch r := &resp.Results[i]; {
		case r.ErrorCode != 0 || err == nil:
		case errors.Is(err, errNothingChanged):
			r.ErrorCode, r.ErrorMessage = togetherRefused.code, &togetherRefused.text
		default:
			text := err.Error()
			r.ErrorCode, r.ErrorMessage = kerr.KafkaStorageError.Code, &text
		}
	}
	return resp
}
