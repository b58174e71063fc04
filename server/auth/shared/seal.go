package shared

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

const (
	// prefix begins the names of all keys in Redis. An operator may grant a user these alone.
	prefix = "tapecast:token:"
	// version is the first byte of an entry, and part of what the names of keys are made of. So nodes of
	// two versions, as during a rolling upgrade, do not come upon each other's entries.
	version = 3
	// headSize is the version and the end of an entry, which are not secret but part of its tag.
	headSize = 1 + 8
	// overhead is what sealing adds: a nonce of 12 bytes and a tag of 16.
	overhead = 28
	// MaxEntry is the most bytes of a user and its claims that are shared.
	MaxEntry = 16 << 10
	// maxTime is the end of the year 9999.
	maxTime = 253402300799
	// LeastSecret is the least length of Config.Secret.
	LeastSecret = 32
)

var (
	errForged = errors.New("it was not stored by a gateway with this secret, for this token")
	errOver   = errors.New("it is over")
	errFar    = errors.New("it ends too late: the clocks of the nodes differ")
)

// Entry is an answer that accepts a token.
type Entry struct {
	User   string
	Claims []byte    // nil: the answer had none
	Until  time.Time // when it must be asked for again, in ms
	Issued int64     // when the token was issued, in seconds since 1970; 0: the answer does not say
}

// sealer makes the names of keys, and seals entries. It does not change once made.
type sealer struct{ names, entries []byte }

// newSealer derives its keys from the secret. With another scope nothing of it is found or opens.
func newSealer(secret []byte, scope string) (*sealer, error) { return sealerOf(version, secret, scope) }

func sealerOf(version int, secret []byte, scope string) (*sealer, error) {
	s := &sealer{}
	for _, k := range []struct {
		to  *[]byte
		use string
	}{{&s.names, "names"}, {&s.entries, "entries"}} {
		var err error
		label := fmt.Sprintf("tapecast shared tokens, version %d: %s\n%s", version, k.use, scope)
		if *k.to, err = hkdf.Key(sha256.New, secret, nil, label, 32); err != nil {
			return nil, fmt.Errorf("cannot make keys of the secret: %w", err)
		}
	}
	return s, nil
}

// name returns a token's key in Redis.
func (s *sealer) name(token string) string {
	return prefix + base64.RawURLEncoding.EncodeToString(mac(s.names, token))
}

// of returns what seals the entries of one token.
func (s *sealer) of(token string) cipher.AEAD {
	block, err := aes.NewCipher(mac(s.entries, token))
	if err == nil {
		var sealing cipher.AEAD
		if sealing, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return sealing
		}
	}
	panic(fmt.Sprintf("BUG: AES-256 does not take a key of 32 bytes: %s", err))
}

func mac(key []byte, token string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(token))
	return h.Sum(nil)
}

// seal returns the entry as it stands in Redis.
func (s *sealer) seal(token string, e Entry) []byte {
	head := binary.BigEndian.AppendUint64([]byte{version}, uint64(e.Until.UnixMilli()))
	plain := binary.AppendUvarint(nil, uint64(e.Issued))
	plain = append(binary.AppendUvarint(plain, uint64(len(e.User))), e.User...)
	if e.Claims != nil {
		plain = append(append(plain, 1), e.Claims...)
	}
	return s.of(token).Seal(head, nil, plain, head)
}

// open returns what was sealed for a token, or errForged.
func (s *sealer) open(token string, b []byte) (e Entry, err error) {
	if len(b) < headSize+overhead || len(b) > headSize+overhead+MaxEntry+binary.MaxVarintLen64 || b[0] != version {
		return e, errForged
	}
	head := b[:headSize]
	plain, err := s.of(token).Open(nil, nil, b[headSize:], head) // compares the tag in constant time
	if err != nil {
		return e, errForged
	}
	issued, at := binary.Uvarint(plain)
	if at <= 0 || issued > maxTime {
		return e, errForged
	}
	e.Issued, plain = int64(issued), plain[at:]
	n, at := binary.Uvarint(plain)
	if at <= 0 || n > uint64(len(plain)-at) {
		return e, errForged
	}
	user, claims := plain[at:at+int(n)], plain[at+int(n):]
	e.User, e.Until = string(user), time.UnixMilli(int64(binary.BigEndian.Uint64(head[1:])))
	if len(claims) > 0 {
		e.Claims = claims[1:]
	}
	return e, nil
}

// good returns why an entry is not used now, or nil. longest is the most that may be left of it.
func (e *Entry) good(now time.Time, longest time.Duration) error {
	switch {
	case !now.Before(e.Until):
		return errOver
	case e.Until.Sub(now) > longest:
		return errFar
	}
	return nil
}
