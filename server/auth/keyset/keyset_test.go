package keyset

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
)

func pemOf(t testing.TB, kind string, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// certificate returns a certificate of the key in PEM, signed by itself.
func certificate(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"},
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// jwk returns a public key as a JSON Web Key, with the given members over its own.
func jwk(t testing.TB, key any, members map[string]any) map[string]any {
	t.Helper()
	k, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(k.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for name, v := range members {
		m[name] = v
	}
	return m
}

func setOf(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type someKeys struct {
	rsa   *rsa.PrivateKey
	small *rsa.PrivateKey
	ec    map[elliptic.Curve]*ecdsa.PrivateKey
	ed    ed25519.PublicKey
}

func makeKeys(t testing.TB) (k someKeys) {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if k.small, err = rsa.GenerateKey(rand.Reader, 1024); err != nil {
		t.Fatal(err)
	}
	k.ec = map[elliptic.Curve]*ecdsa.PrivateKey{}
	for _, c := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if k.ec[c], err = ecdsa.GenerateKey(c, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	if k.ed, _, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestParsePEM(t *testing.T) {
	k := makeKeys(t)
	f := func(text []byte, want string) {
		t.Helper()
		keys, unused, err := Parse(text)
		got := fmt.Sprint(err)
		if err == nil && len(keys) == 1 {
			got = strings.Join(keys[0].Algorithms, " ")
		}
		if got != want || len(unused) > 0 {
			t.Errorf("got %q and %v, want %q", got, unused, want)
		}
	}
	const allRSA = "RS256 RS384 RS512 PS256 PS384 PS512"
	f(pemOf(t, "PUBLIC KEY", &k.rsa.PublicKey), allRSA)
	pkcs1 := pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)}
	f(pem.EncodeToMemory(&pkcs1), allRSA)
	f(pemOf(t, "PUBLIC KEY", &k.ec[elliptic.P256()].PublicKey), "ES256")
	f(pemOf(t, "PUBLIC KEY", &k.ec[elliptic.P384()].PublicKey), "ES384")
	f(pemOf(t, "PUBLIC KEY", &k.ec[elliptic.P521()].PublicKey), "ES512")
	f(pemOf(t, "PUBLIC KEY", k.ed), "Ed25519 EdDSA")
	cert := certificate(t, k.ec[elliptic.P256()])
	f(cert, "ES256")
	f(append(cert, certificate(t, k.ec[elliptic.P384()])...), "ES256") // a chain: the first counts

	f(pemOf(t, "PUBLIC KEY", &k.small.PublicKey), "the RSA key has 1024 bits, and must have 2048 to 8192")
	f(pemOf(t, "PUBLIC KEY", &k.ec[elliptic.P224()].PublicKey), "the EC key is not a point of P-256, P-384 or P-521")
	two := append(pemOf(t, "PUBLIC KEY", k.ed), pemOf(t, "PUBLIC KEY", k.ed)...)
	f(two, "there is more than one key: give each a file of its own, or use a JWK Set")
	f(pemOf(t, "PRIVATE KEY", k.ed), "this is a private key, which the server must not have")
	f(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}), "the PEM block holds no public key")
	f(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "the PEM block holds no public key")
	f([]byte("hello"), "the key is not in PEM form")
	f(nil, "the key is not in PEM form")
}

func TestParseSet(t *testing.T) {
	k := makeKeys(t)
	rsaKey, p256 := &k.rsa.PublicKey, &k.ec[elliptic.P256()].PublicKey
	many := make([]map[string]any, MaxKeys+1)
	for i := range many {
		many[i] = jwk(t, k.ed, nil)
	}
	off := jwk(t, p256, nil)
	off["x"] = off["y"]
	private := jwk(t, rsaKey, map[string]any{"d": "AQAB"})
	even := jwk(t, rsaKey, map[string]any{"e": "Ag"})
	confused := jwk(t, rsaKey, map[string]any{"alg": "EdDSA"})
	f := func(text []byte, wantKeys string, wantUnused ...string) {
		t.Helper()
		keys, unused, err := Parse(text)
		var got []string
		for _, k := range keys {
			got = append(got, k.ID+":"+strings.Join(k.Algorithms, " "))
		}
		if err != nil {
			got = append(got, err.Error())
		}
		if strings.Join(got, "; ") != wantKeys || !slices.Equal(unused, wantUnused) {
			t.Errorf("got %q and %q, want %q and %q", got, unused, wantKeys, wantUnused)
		}
	}
	m := func(members ...any) map[string]any {
		all := map[string]any{}
		for i := 0; i < len(members); i += 2 {
			all[members[i].(string)] = members[i+1]
		}
		return all
	}
	f(setOf(t, jwk(t, rsaKey, m("kid", "a", "alg", "RS256", "use", "sig")), jwk(t, p256, m("kid", "b")),
		jwk(t, k.ed, m("kid", "c", "alg", "EdDSA")), jwk(t, k.ed, m("kid", "d", "alg", "Ed25519"))),
		"a:RS256; b:ES256; c:Ed25519 EdDSA; d:Ed25519 EdDSA")
	f(setOf(t, jwk(t, rsaKey, m("kid", "a", "key_ops", []string{"verify"})), private, even, confused),
		"a:RS256 RS384 RS512 PS256 PS384 PS512",
		`key 1 (kid ""): it is a private key, which must not be published: replace it`,
		`key 2 (kid ""): the RSA key is not well formed: its exponent and modulus must be odd`,
		`key 3 (kid ""): EdDSA does not fit the key, which is for RS256, RS384, RS512, PS256, PS384, PS512`)
	// Keys for other things stand beside them.
	f(setOf(t, jwk(t, rsaKey, m("kid", "e", "use", "enc", "alg", "RSA-OAEP")), jwk(t, p256, m("kid", "b")),
		jwk(t, p256, m("key_ops", []string{"sign"})), jwk(t, rsaKey, m("kid", "x", "alg", "ES256")), off,
		jwk(t, p256, m("kid", strings.Repeat("k", MaxID+1))),
		m("kty", "oct", "k", "AAAA", "kid", "s"), m("kty", "OKP", "crv", "X448", "x", "AA"), m("kid", "?")),
		"b:ES256",
		`key 0 (kid "e"): its use is "enc"`,
		`key 2 (kid ""): its key_ops lack verify`,
		`key 3 (kid "x"): ES256 does not fit the key, which is for RS256, RS384, RS512, PS256, PS384, PS512`,
		`key 4 (kid ""): the EC key is not a point of P-256, P-384 or P-521`,
		fmt.Sprintf("key 5 (kid %.60q): its kid is longer than 256 bytes", strings.Repeat("k", MaxID+1)),
		`key 6 (kid "s"): it is a secret, which belongs into a file of its own (secret_file)`,
		`key 7 (kid ""): it is not supported, or not well formed`,
		`key 8 (kid "?"): it is not supported, or not well formed`)
	f([]byte(`{"keys": [7]}`), "no key of the JWK Set can check a token: key 0: it is not a JSON Web Key",
		"key 0: it is not a JSON Web Key")
	f(setOf(t, jwk(t, &k.small.PublicKey, nil)), "no key of the JWK Set can check a token: "+
		`key 0 (kid ""): the RSA key has 1024 bits, and must have 2048 to 8192`,
		`key 0 (kid ""): the RSA key has 1024 bits, and must have 2048 to 8192`)
	f([]byte(`{"keys": []}`), `the JWK Set has no "keys"`)
	f([]byte(`{"kty": "EC"}`), `the JWK Set has no "keys"`)
	f([]byte(`{"keys": `), "the JWK Set is not valid JSON")
	f(setOf(t, many...), "the JWK Set has 65 keys, and 64 are the most")
}

func TestSecret(t *testing.T) {
	f := func(n int, want string) {
		t.Helper()
		k, err := Secret(make([]byte, n))
		if err != nil {
			k.Algorithms = []string{err.Error()}
		}
		if got := strings.Join(k.Algorithms, " "); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
	f(31, "the key has 31 bytes, and HS256 needs 32 or more")
	f(32, "HS256")
	f(48, "HS256 HS384")
	f(64, "HS256 HS384 HS512")
}

func TestOnly(t *testing.T) {
	k := Key{Algorithms: []string{"RS256", "PS256"}}
	if err := k.Only(nil); err != nil || len(k.Algorithms) != 2 {
		t.Errorf("%v, %v", k.Algorithms, err)
	}
	if err := k.Only([]string{"ES256"}); err == nil || len(k.Algorithms) != 2 {
		t.Errorf("%v, %v", k.Algorithms, err)
	}
	if err := k.Only([]string{"PS256"}); err != nil || !slices.Equal(k.Algorithms, []string{"PS256"}) {
		t.Errorf("%v, %v", k.Algorithms, err)
	}
}

func TestFind(t *testing.T) {
	key := func(id string, n int, algorithms ...string) Key {
		return Key{ID: id, Algorithms: algorithms, Material: []byte{byte(n)}}
	}
	s := NewSet([]Key{
		key("", 0, "HS256"),
		key("a", 1, "RS256", "PS256"), key("b", 2, "RS256"), key("a", 3, "ES256"),
		key("", 4, "ES256"),
		key("1", 5, "EdDSA"), key("2", 6, "EdDSA"), key("3", 7, "EdDSA"), key("4", 8, "EdDSA"), key("5", 9, "EdDSA"),
		key("s1", 14, "ES512"), key("s2", 15, "ES512"),
		key("6", 10, "PS512"), key("7", 11, "PS512"), key("8", 12, "PS512"), key("9", 13, "PS512"),
	})
	f := func(alg, kid string, want Found, numbers ...byte) {
		t.Helper()
		keys, found := s.Find(nil, alg, kid)
		var got []byte
		for _, k := range keys {
			got = append(got, k.Material.([]byte)...)
		}
		if found != want || !slices.Equal(got, numbers) {
			t.Errorf("%s of %q: %d and %v, want %d and %v", alg, kid, found, got, want, numbers)
		}
	}
	f("HS256", "", Fits, 0)
	f("HS256", "anything", Fits, 0) // a key without a kid
	f("RS256", "a", Fits, 1)
	f("RS256", "b", Fits, 2)
	f("RS256", "", Fits, 1, 2)
	f("RS256", "c", NoID)
	f("PS256", "b", NoID) // its own algorithm is another
	f("ES256", "a", Fits, 3)
	f("ES256", "zzz", Fits, 4)
	f("ES256", "", Fits, 3, 4)
	f("ES384", "", NoAlgorithm)
	f("ES512", "", Ambiguous) // each takes milliseconds
	f("ES512", "s2", Fits, 15)
	f("none", "", NoAlgorithm)
	f("EdDSA", "", Ambiguous)
	f("EdDSA", "3", Fits, 7)
	f("PS512", "", Fits, 10, 11, 12, 13)
	want := []string{"HS256", "RS256", "PS256", "ES256", "EdDSA", "ES512", "PS512"}
	if got := s.Algorithms(); !slices.Equal(got, want) {
		t.Errorf("algorithms %v", got)
	}
}

func FuzzParse(f *testing.F) {
	pub, _, _ := ed25519.GenerateKey(rand.Reader)
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.Add(pemOf(f, "PUBLIC KEY", pub))
	f.Add(certificate(f, key))
	f.Add(setOf(f, jwk(f, pub, map[string]any{"kid": "a"}), jwk(f, &key.PublicKey, map[string]any{"use": "enc"})))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, unused, err := Parse(text)
		if err == nil && len(keys) == 0 || err != nil && len(keys) > 0 || len(keys)+len(unused) > MaxKeys {
			t.Fatalf("%d keys, %d unused, %v", len(keys), len(unused), err)
		}
		for _, k := range keys {
			if len(k.Algorithms) == 0 || k.Material == nil || len(k.ID) > MaxID {
				t.Errorf("%+v", k)
			}
		}
	})
}

// TestDates: a key has the dates of the certificate that it came with, if that is its own.
func TestDates(t *testing.T) {
	k := makeKeys(t)
	key := k.ec[elliptic.P256()]
	block, _ := pem.Decode(certificate(t, key))
	x5c := map[string]any{"x5c": []string{base64.StdEncoding.EncodeToString(block.Bytes)}}
	f := func(text []byte, dated bool) {
		t.Helper()
		keys, _, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(keys[0].NotAfter); dated != (left > 50*time.Minute && left <= time.Hour) ||
			!dated && !keys[0].NotAfter.IsZero() {
			t.Errorf("it ends at %s", keys[0].NotAfter)
		}
	}
	f(certificate(t, key), true)
	f(pemOf(t, "PUBLIC KEY", &key.PublicKey), false)
	f(setOf(t, jwk(t, &key.PublicKey, x5c)), true)
	f(setOf(t, jwk(t, &k.ec[elliptic.P384()].PublicKey, x5c)), false)
}
