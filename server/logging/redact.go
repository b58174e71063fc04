package logging

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// Redacted is written instead of a secret.
const Redacted = "[redacted]"

// secretKeys are attributes whose value is never written.
var secretKeys = map[string]bool{
	"token": true, "access_token": true, "authorization": true, "secret": true,
	"password": true, "sasl.password": true, "sec-websocket-protocol": true,
}

var (
	// secretField finds credentials by the text before them: a query parameter, a JSON field, a
	// header, the subprotocol bearer.<token>.
	secretField = regexp.MustCompile(`(?i)((?:access_)?token["']?\s*[=:]\s*["']?|\bbearer[\s.,` +
		`]\s*|\bauthorization["']?\s*[=:]\s*["']?(?:bearer\s+)?)[^\s"'&,;]+`)
	// bareToken finds a JWT anywhere: base64 of {" … and two more parts.
	bareToken = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*`)
)

func redact(s string) string {
	if !mayHoldToken(s) {
		return s
	}
	s = bareToken.ReplaceAllString(s, Redacted)
	return secretField.ReplaceAllString(s, "${1}"+Redacted)
}

// mayHoldToken reports whether a text may contain a token. Most need no regular expression.
func mayHoldToken(s string) bool {
	if strings.Contains(s, "eyJ") {
		return true
	}
	l := strings.ToLower(s)
	return strings.Contains(l, "token") || strings.Contains(l, "bearer") || strings.Contains(l, "authorization")
}

// redactAttr is slog's ReplaceAttr. It sees every attribute, and the message, right before it is
// written. It also writes durations with their unit.
func redactAttr(_ []string, a slog.Attr) slog.Attr {
	if secretKeys[strings.ToLower(a.Key)] {
		a.Value = slog.StringValue(Redacted)
		return a
	}
	switch a.Value.Kind() {
	case slog.KindDuration: // in JSON it would be nanoseconds without a unit
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindString:
		if s := a.Value.String(); mayHoldToken(s) {
			a.Value = slog.StringValue(redact(s))
		}
	case slog.KindAny:
		var s string
		switch v := a.Value.Any().(type) {
		case nil, *slog.Source:
			return a
		case []byte:
			s = string(v)
		default:
			s = fmt.Sprintf("%+v", v)
		}
		if r := redact(s); r != s {
			a.Value = slog.StringValue(r)
		}
	}
	return a
}
