package wire

import (
	"strings"
	"testing"
)

// readEvents reads a stream as a browser does: lines end in CR, LF or both, and an empty one ends an
// event. It returns each as its name, id and data.
func readEvents(stream string) (events []string) {
	name, id := "message", ""
	var data []string
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	for line := range strings.SplitSeq(stream, "\n") {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != nil {
				events = append(events, name+"|"+id+"|"+strings.Join(data, "\n"))
			}
			name, id, data = "message", "", nil
		case field == "event":
			name = value
		case field == "id":
			id = value
		case field == "data":
			data = append(data, value)
		}
	}
	return events
}

// TestEvents: a browser reads what was written, whatever line ends it has.
func TestEvents(t *testing.T) {
	f := func(stream []byte, want ...string) {
		t.Helper()
		if got := readEvents(string(stream)); strings.Join(got, "!") != strings.Join(want, "!") {
			t.Errorf("%q is read as %q, want %q", stream, got, want)
		}
	}
	event := func(id, text string) []byte { return AppendEvent(nil, []byte(id), []byte(text)) }
	f(event("", `{"a":1}`), `message||{"a":1}`)
	f(event("e/0:1", `{}`), `message|e/0:1|{}`)
	f(event("", ""), "message||")
	f(event("", "{\n\"a\":\r\n1\r}\n"), "message||{\n\"a\":\n1\n}\n")
	f(event("", "\n\n"), "message||\n\n")
	f(event("", " {}"), "message|| {}")
	f(event("", "\r\r\n\n"), "message||\n\n\n")

	long := strings.Repeat("x", 70_000)
	frames := TextFrame([]byte("one"))
	frames = AppendFrame(frames, OpPing, nil)
	frames = AppendFrame(frames, OpPong, []byte("p"))
	frames = AppendFrame(frames, OpText, []byte(long))
	f(AppendEvents(nil, frames), "message||one", "message||"+long)
	if got := string(AppendEvents(nil, AppendFrame(nil, OpPing, nil))); got != ":\n\n" {
		t.Errorf("a ping is %q", got)
	}
	for code, retry := range map[uint16]string{
		1012: "5000", 4201: "5000", 4001: "3600000", 1003: "3600000", 4129: "60000", 1008: "60000",
	} {
		if got := string(AppendCloseEvent(nil, code, nil)); !strings.HasPrefix(got, "retry: "+retry+"\n") {
			t.Errorf("after %d: %q", code, got)
		}
	}
	f(AppendCloseEvent(nil, 4201, []byte("token \"x\"\nexpired\xff")),
		`close||{"code":4201,"reason":"token \"x\"\nexpired`+"\uFFFD\"}")
}

// TestPosOf: the position of a record's frame is found, whatever the names in it look like.
func TestPosOf(t *testing.T) {
	for _, e := range []Envelope{
		{Room: "a", Type: "t", Partition: 3, Offset: 1 << 40, Prev: 7, Time: 1},
		{Room: `,"pos":"9:9"`, Type: `"`, Key: []byte(`\","pos":"8:8`), HasKey: true, Offset: 5, Prev: -1},
		{Room: "a", Type: "t", HasKey: true, Partition: 1},
	} {
		frame := TextFrame(append(e.Append(nil), `{"pos":"7:7"}}`...))
		if p, o, ok := PosOf(frame); !ok || p != e.Partition || o != e.Offset {
			t.Errorf("%s: %d, %d, %t", frame, p, o, ok)
		}
	}
	for _, text := range []string{"", "{}", `{"room":"a","type":"t","key":"k","data":null}`, `{"room":"a`,
		`{"room":"a","type":`, `{"room":"a","type":"t","pos":`, `{"room":"a","type":"t","pos":"1"}`,
		string(AppendGap(nil, "a", none{}, none{}))} {
		if p, o, ok := PosOf(TextFrame([]byte(text))); ok {
			t.Errorf("%s: %d, %d", text, p, o)
		}
	}
}

type none struct{}

// AppendJSON appends positions that are not known.
func (none) AppendJSON(dst []byte) []byte { return append(dst, "{}"...) }
