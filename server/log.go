package server

import (
	"io"
	"log/slog"
	"time"

	"golang.org/x/term"
)

// NewLogger makes the logger of a process: text on a terminal, JSON elsewhere
// (or as cfg.Format says). It repeats no message text more than logBurst times
// at once and once a second after that, and writes no token. The level can be
// changed while it runs.
func NewLogger(w io.Writer, cfg LogConfig) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(cfg.SlogLevel())
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: redactAttr}
	var h slog.Handler
	if cfg.Format == "text" || cfg.Format != "json" && isTerminal(w) {
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
				a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
				return a
			}
			return redactAttr(groups, a)
		}
		h = slog.NewTextHandler(w, opts)
	} else {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(&limitHandler{next: h, limits: &logLimits{byText: map[logKey]*logBucket{}, root: h}}), level
}

// SlogLevel is Level as slog has it; one that is unknown is info.
func (cfg LogConfig) SlogLevel() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(cfg.Level)); err != nil {
		return slog.LevelInfo
	}
	return l
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

const (
	// logBurst lets the lines of one incident through, such as the peers of a
	// rack that went away, and cuts a storm of them.
	logBurst = 20
	// logEvery is the time in which a text that was repeated earns its next line.
	logEvery = time.Second
	// logTexts bounds how many texts are told apart. Texts are constants of the
	// program; past the bound the quiet ones are forgotten.
	logTexts = 1024
)
