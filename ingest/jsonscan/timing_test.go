package jsonscan

import (
	"testing"

	"github.com/valyala/fastjson"
)

const trade = `{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,` +
	`"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}`

// BenchmarkScan and BenchmarkFastjson both check a value and find one field.
func BenchmarkScan(b *testing.B) {
	tree := NewTree()
	if _, err := tree.Add("s"); err != nil {
		b.Fatal(err)
	}
	var s Scanner
	text := []byte(trade)
	b.SetBytes(int64(len(trade)))
	for b.Loop() {
		if s.Scan(text, tree) >= 0 {
			b.Fatal("fault")
		}
	}
}

func BenchmarkFastjson(b *testing.B) {
	var p fastjson.Parser
	text := []byte(trade)
	b.SetBytes(int64(len(trade)))
	for b.Loop() {
		if err := fastjson.ValidateBytes(text); err != nil {
			b.Fatal(err)
		}
		v, err := p.ParseBytes(text)
		if err != nil || len(v.GetStringBytes("s")) == 0 {
			b.Fatal(err)
		}
	}
}
