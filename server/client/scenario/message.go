package scenario

import "maps"

// answerTo returns the answer to a request. In a list of rooms the usual fields may be left out.
func answerTo(id any, verb string, arg any) map[string]any {
	if verb == "error" {
		return map[string]any{"jsonrpc": "2.0", "id": id, "error": arg}
	}
	if list, ok := arg.([]any); ok {
		answered(list)
		arg = map[string]any{"rooms": list}
	}
	if m, ok := arg.(map[string]any); ok && m["expires"] != nil {
		arg = filled(map[string]any{"clientId": "c", "userId": "42", "maxMessage": 262144.0}, m)
	}
	return map[string]any{"jsonrpc": "2.0", "id": id, "result": arg}
}

func answered(list []any) {
	for _, v := range list {
		room := v.(map[string]any)
		_, failed := room["error"]
		failed = failed && room["status"] == nil // or else it is joined, without its past
		for name, v := range map[string]any{
			"status": "joined", "class": "stream", "chain": true, "positions": map[string]any{},
		} {
			if _, ok := room[name]; !ok && !failed {
				room[name] = v
			}
		}
		if under, ok := room["rooms"].([]any); ok {
			answered(under)
		}
	}
}

// sent is what is sent for a step. What every message or notice has may be left out.
func sent(arg any) any {
	m, ok := arg.(map[string]any)
	if !ok {
		return arg
	}
	if _, isMessage := m["data"]; isMessage {
		usual := map[string]any{"type": "t"}
		if m["pos"] != nil {
			usual["ts"] = 1699123456789.0
		}
		return filled(usual, m)
	}
	if len(m) != 1 {
		return m
	}
	for method, params := range m {
		o, _ := params.(map[string]any)
		if method == "auth_required" {
			params = filled(map[string]any{"maxMessage": 65536.0}, o)
		} else if method == "left" {
			answered(o["rooms"].([]any))
		}
		m = map[string]any{"jsonrpc": "2.0", "method": method, "params": params}
	}
	return m
}

func filled(usual, m map[string]any) map[string]any {
	maps.Copy(usual, m)
	return usual
}
