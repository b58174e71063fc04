package loop

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"tapecast/rooms/wire"
)

// sealer writes a client's TLS 1.3 records (RFC 8446, 5.2) as crypto/tls never would.
type sealer struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
	out    []byte
}

func expand(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(append(info, byte(len(label))), label...), 0)
	b, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		panic(err)
	}
	return b
}

func (s *sealer) key(secret []byte) {
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		panic(err)
	}
	s.secret, s.iv, s.seq = secret, expand(secret, "iv", 12), 0
}

func (s *sealer) record(kind byte, p []byte) {
	nonce := bytes.Clone(s.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(s.seq >> (56 - 8*i))
	}
	s.seq++
	head := []byte{23, 3, 3, byte((len(p) + 17) >> 8), byte(len(p) + 17)}
	s.out = append(append(s.out, head...), s.aead.Seal(nil, nonce, append(bytes.Clone(p), kind), head)...)
}

// update is a key update; asks: that is to be answered.
func (s *sealer) update(asks byte) {
	s.record(22, []byte{24, 0, 0, 1, asks})
	s.key(expand(s.secret, "traffic upd", 32))
}

// TestTLSRecordFloods: key updates, those that are to be answered and those that are not,
// and empty records between small ones cost their sender the connection.
func TestTLSRecordFloods(t *testing.T) {
	for name, flood := range map[string]func(s *sealer){
		"key updates":          func(s *sealer) { s.update(0) },
		"answered key updates": func(s *sealer) { s.update(1) },
		"empty records":        func(s *sealer) { s.record(23, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testTLS(t)
			w := newTown(t, Config{TLS: cfg, MaxMessage: 1 << 20})
			var keys bytes.Buffer
			w.trust.KeyLogWriter, w.trust.MinVersion = &keys, tls.VersionTLS13
			other := w.dial()
			keys.Reset()
			c := w.dial()
			s := &sealer{}
			for line := range strings.Lines(keys.String()) {
				if f := strings.Fields(line); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
					secret, err := hex.DecodeString(f[2])
					if err != nil || len(secret) != 32 {
						t.Skipf("not a suite with SHA-256: %d bytes, %v", len(secret), err)
					}
					s.key(secret)
				}
			}
			s.seq = 1 // the upgrade request was the first record
			s.record(23, []byte{0x02, 0xFF, 0, 0, 0, 0, 0, 0x0F, 0, 0, 0, 0, 0, 0})
			raw := c.conn.(*tls.Conn).NetConn()
			go func() {
				for range 200 {
					for range 15 { // crypto/tls itself ends 17
						flood(s)
					}
					s.record(23, []byte{0}) // a byte of a message that has no end
				}
				_, _ = raw.Write(s.out) // it is closed before all is sent
			}()
			other.echoes("while it floods")
			if code := <-w.echo.closed; code != wire.ClosePolicy {
				t.Errorf("closed with %d", code)
			}
			if what := <-w.limited; what != PaceRecords {
				t.Errorf("limited for %d", what)
			}
		})
	}
}
