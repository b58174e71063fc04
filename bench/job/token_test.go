package job

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestLoadKeys(t *testing.T) {
	dir := t.TempDir()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	pemFile := write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	secretFile := write("secret", []byte("a secret \n"))
	// what a token made from the keys is verified with
	f := func(secret, secretFile, ed, token string, key any) {
		t.Helper()
		k, err := LoadKeys(secret, secretFile, ed, token)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := NewSigner(k).Sign("bench-1")
		if err != nil {
			t.Fatal(err)
		}
		if key == nil {
			if raw != token {
				t.Fatalf("token %q", raw)
			}
			return
		}
		var c jwt.RegisteredClaims
		if _, err := jwt.ParseWithClaims(raw, &c, func(*jwt.Token) (any, error) { return key, nil }); err != nil ||
			c.Subject != "bench-1" || c.ExpiresAt == nil {
			t.Fatalf("%v, %+v", err, c)
		}
		if again, _ := NewSigner(k).Sign("bench-1"); again == raw {
			t.Fatal("the same token twice")
		}
	}
	f("s", "", "", "", []byte("s"))
	f("", secretFile, "", "", []byte("a secret "))
	f("", "", pemFile, "", private.Public())
	f("", "", "", "a.b.c", nil)
	f("", "", "", "", nil)
	bad := func(secret, secretFile, ed, token string) {
		t.Helper()
		if _, err := LoadKeys(secret, secretFile, ed, token); err == nil {
			t.Fatal("accepted")
		}
	}
	bad("a", "", "", "b")
	bad("", "/does/not/exist", "", "")
	bad("", "", secretFile, "")
}
