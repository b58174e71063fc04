package tlsconn

import "testing"

// TestTrim: a change of crypto/tls that makes idle connections larger shows here.
func TestTrim(t *testing.T) {
	for i, at := range tlsBuffers {
		if at == 0 {
			t.Errorf("buffer %d of crypto/tls is not found: idle connections keep it", i)
		}
	}
}

// TestRestIsBounded: a client that has crypto/tls write and does not read is
// given up.
func TestRestIsBounded(t *testing.T) {
	s := New(new(nobody), nil)
	s.rest = make([]byte, maxRest-100)
	if n, err := (*netConn)(s).Write(make([]byte, 100)); n != 100 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := (*netConn)(s).Write(make([]byte, 1)); err != errTooMuch {
		t.Errorf("over the bound: %v", err)
	}
}
