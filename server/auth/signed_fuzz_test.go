package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"tapecast/server/config"
)

// FuzzSigned: tokens with a good signature, whatever their header and claims are. Of one that is accepted,
// another decoder reads the same user, end, issuer and algorithm. FuzzParseToken never gets past the
// signature.
func FuzzSigned(f *testing.F) {
	a, err := New(&config.Auth{Secret: testSecret, Issuer: "i", RequiredClaims: map[string]string{"scope": "a"}}, quiet)
	if err != nil {
		f.Fatal(err)
	}
	a.Keep("role")
	f.Add(`{"alg":"HS256","typ":"JWT"}`, `{"sub":"42","exp":9999999999,"iss":"i","scope":"a b","role":["x","y"]}`)
	f.Add(`{"alg":"HS256","kid":"k"}`, `{"sub":"42","exp":1e9,"nbf":1,"iat":2.5,"iss":"i","scope":["a"],"aud":["b"]}`)
	f.Add(`{"alg":"HS256","ALG":"none"}`, `{"sub":"42","SUB":"43","sub":"44","exp":99999999999,"iss":"i","scope":"a"}`)
	f.Add(`{"alg":"none","crit":["x"]}`, `{"sub":42,"exp":"never","jti":7,"iss":null,"scope":{"a":1}}`)
	f.Add(`{"alg":"HS256","alg":"none"}`, `{"sub":"\u0000","exp":-1,"iss":"i","scope":"a"}`)
	f.Add(`{"alg":"HS256"}`, `{"sub":"\ud800","exp":9999999999,"iss":"i","scope":"a"}`)
	f.Add(`{"alg":"HS256"}`, "{\"sub\":\"\xff\",\"exp\":9999999999,\"iss\":\"i\",\"scope\":\"a\"}")
	f.Add(`{"alg":"HS256"}`, `{"\u0073ub":"\ud83d\ude00","exp":9999999999,"iss":"i","scope":"a"}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		part := base64.RawURLEncoding.EncodeToString
		text := part([]byte(header)) + "." + part([]byte(claims))
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write([]byte(text))
		id, err := a.ParseToken(text + "." + part(mac.Sum(nil)))
		if err != nil {
			if (id.User != "" || id.Expires != 0) || err.Error() == "" {
				t.Fatalf("refused with %v, and %+v", err, id)
			}
			return
		}
		var h, c map[string]json.RawMessage // exact names
		if json.Unmarshal([]byte(header), &h) != nil || json.Unmarshal([]byte(claims), &c) != nil {
			t.Fatalf("accepted, though it is not JSON: %q %q", header, claims)
		}
		var alg, sub, iss string
		var exp json.Number
		if json.Unmarshal(h["alg"], &alg) != nil || json.Unmarshal(c["sub"], &sub) != nil ||
			json.Unmarshal(c["iss"], &iss) != nil || json.Unmarshal(c["exp"], &exp) != nil || c["scope"] == nil {
			t.Fatalf("accepted without its claims: %q", claims)
		}
		at, _ := exp.Float64()
		if sub != id.User || checkUser(sub, nil) != nil || iss != "i" || alg != "HS256" || h["crit"] != nil ||
			id.Expires != int64(at) || id.Expires < time.Now().Add(-time.Minute).Unix() {
			t.Fatalf("%q %q gives %+v", header, claims, id)
		}
	})
}
