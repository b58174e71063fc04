package upgrade

import "testing"

func TestOffersDeflate(t *testing.T) {
	f := func(field string, offered, ok bool) {
		t.Helper()
		if a, b := offersDeflate(field); a != offered || b != ok {
			t.Errorf("%q: %v, %v", field, a, b)
		}
	}
	f("", false, true)
	f("permessage-deflate", true, true)
	f("permessage-deflate; client_max_window_bits", true, true)
	f("permessage-deflate; client_max_window_bits=9; server_no_context_takeover; client_no_context_takeover", true,
		true)
	f(`permessage-deflate; server_max_window_bits="15"`, true, true)
	f("permessage-deflate; server_max_window_bits=15", true, true)
	f("permessage-deflate; server_max_window_bits=14", false, true)
	f("permessage-deflate; server_max_window_bits=10, permessage-deflate", true, true)
	f("permessage-deflate, permessage-deflate; server_max_window_bits=10", true, true)
	f("permessage-deflate; server_max_window_bits", false, true)
	f("permessage-deflate; client_max_window_bits=7", false, true)
	f("permessage-deflate; client_max_window_bits=16", false, true)
	f("permessage-deflate; client_max_window_bits=015", false, true)
	f("permessage-deflate; client_no_context_takeover=1", false, true)
	f("permessage-deflate; client_no_context_takeover; client_no_context_takeover", false, true)
	f("permessage-deflate; surprise", false, true)
	f("x-webkit-deflate-frame, permessage-bzip2; a=1", false, true)
	f("permessage-deflate; =", false, false)
	f("permessage-deflate;;", false, false)
}
