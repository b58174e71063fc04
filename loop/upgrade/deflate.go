package upgrade

import "github.com/gobwas/httphead"

// offersDeflate reports whether a Sec-WebSocket-Extensions field offers permessage-deflate (RFC
// 7692, 7.1) in a way that we can accept. A smaller window of the server, which the answer would
// have to take up, is not. ok reports whether the field is well-formed.
func offersDeflate(extensions string) (offered, ok bool) {
	if extensions == "" {
		return false, true
	}
	at, good := -1, false
	var seen [4]bool
	ok = httphead.ScanOptions([]byte(extensions), func(i int, name, param, value []byte) httphead.Control {
		if i != at {
			offered = offered || good
			at, good, seen = i, string(name) == "permessage-deflate", [4]bool{}
		}
		if param == nil {
			return httphead.ControlContinue
		}
		k := 0
		switch string(param) {
		case "server_no_context_takeover", "client_no_context_takeover":
			if param[0] == 'c' {
				k = 1
			}
			good = good && value == nil
		case "client_max_window_bits":
			k = 2
			good = good && (value == nil || validBits(string(value)))
		case "server_max_window_bits":
			k = 3
			good = good && string(value) == "15"
		default:
			good = false
		}
		good = good && !seen[k]
		seen[k] = true
		return httphead.ControlContinue
	})
	return ok && (offered || good), ok
}

func validBits(s string) bool {
	return len(s) == 1 && s[0] >= '8' && s[0] <= '9' || len(s) == 2 && s[0] == '1' && s[1] >= '0' && s[1] <= '5'
}
