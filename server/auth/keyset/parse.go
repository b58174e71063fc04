package keyset

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
)

// Parse reads one public key or certificate in PEM, or a JWK Set in JSON. unused says of each key
// of a JWK Set that cannot check tokens why it is left out: a provider may publish keys for other
// things beside them. The errors contain nothing of the text.
func Parse(text []byte) (keys []Key, unused []string, err error) {
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("{")) {
		return ParseSet(text)
	}
	k, err := parsePEM(text)
	if err != nil {
		return nil, nil, err
	}
	return []Key{k}, nil, nil
}

func parsePEM(text []byte) (Key, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return Key{}, errors.New("the key is not in PEM form")
	case strings.Contains(block.Type, "PRIVATE"):
		return Key{}, errors.New("this is a private key, which the server must not have")
	case len(bytes.TrimSpace(rest)) > 0 && block.Type != "CERTIFICATE":
		return Key{}, errors.New("there is more than one key: give each a file of its own, or use a JWK Set")
	}
	var material crypto.PublicKey
	var from, until time.Time
	var err error
	if block.Type == "CERTIFICATE" { // those behind it lead to a root, but trust comes from the configuration
		var cert *x509.Certificate
		if cert, err = jwkset.LoadCertificate(block.Bytes); err == nil {
			material, from, until = cert.PublicKey, cert.NotBefore, cert.NotAfter
		}
	} else {
		material, err = jwkset.LoadX509KeyInfer(block)
	}
	if err != nil {
		return Key{}, errors.New("the PEM block holds no public key")
	}
	k, err := public(material)
	k.NotBefore, k.NotAfter = from, until
	return k, err
}

// ParseSet is Parse for a JWK Set only.
func ParseSet(text []byte) (keys []Key, unused []string, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, nil, errors.New("the JWK Set is not valid JSON")
	}
	if len(set.Keys) == 0 {
		return nil, nil, errors.New(`the JWK Set has no "keys"`)
	}
	if n := len(set.Keys); n > MaxKeys {
		return nil, nil, fmt.Errorf("the JWK Set has %d keys, and %d are the most", n, MaxKeys)
	}
	for i, raw := range set.Keys {
		var m jwkset.JWKMarshal
		if err := json.Unmarshal(raw, &m); err != nil {
			unused = append(unused, fmt.Sprintf("key %d: it is not a JSON Web Key", i))
			continue
		}
		k, err := fromJWK(m)
		if err != nil {
			unused = append(unused, fmt.Sprintf("key %d (kid %.60q): %s", i, m.KID, err))
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, unused, fmt.Errorf("no key of the JWK Set can check a token: %s", unused[0])
	}
	return keys, unused, nil
}

// dates takes those of the first certificate of x5c (RFC 7517, section 4.7), if it is one of the key.
func (k *Key) dates(x5c []string) {
	if len(x5c) == 0 {
		return
	}
	der, err := base64.StdEncoding.DecodeString(x5c[0])
	if err != nil {
		return
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return
	}
	if same, ok := k.Material.(interface{ Equal(crypto.PublicKey) bool }); ok && same.Equal(cert.PublicKey) {
		k.NotBefore, k.NotAfter = cert.NotBefore, cert.NotAfter
	}
}

// fromJWK makes a key of one of a set. A link to a certificate (x5u) is never followed.
func fromJWK(m jwkset.JWKMarshal) (Key, error) {
	switch {
	case len(m.KID) > MaxID:
		return Key{}, fmt.Errorf("its kid is longer than %d bytes", MaxID)
	case m.USE != "" && m.USE != jwkset.UseSig:
		return Key{}, fmt.Errorf("its use is %.20q", m.USE.String())
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return Key{}, errors.New("its key_ops lack verify")
	case m.D != "":
		return Key{}, errors.New("it is a private key, which must not be published: replace it")
	case m.KTY == jwkset.KtyOct:
		return Key{}, errors.New("it is a secret, which belongs into a file of its own (secret_file)")
	}
	m.X5U = ""
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipAll: true})
	if err != nil {
		return Key{}, errors.New("it is not supported, or not well formed")
	}
	k, err := public(jwk.Key())
	if err != nil {
		return Key{}, err
	}
	k.ID = m.KID
	k.dates(m.X5C)
	alg := m.ALG.String()
	if _, ed := k.Material.(ed25519.PublicKey); alg == "" || ed && slices.Contains(k.Algorithms, alg) {
		return k, nil // EdDSA and Ed25519 are two names of one algorithm
	}
	if len(alg) > 20 {
		alg = alg[:20] + "…"
	}
	if err := k.Only([]string{alg}); err != nil {
		return Key{}, err
	}
	return k, nil
}
