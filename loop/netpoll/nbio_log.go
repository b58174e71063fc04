package netpoll

import (
	"fmt"
	"log/slog"
)

// nbioLog sends nbio's log lines to our log.
type nbioLog struct{ log *slog.Logger }

// SetLevel is for nbio's own logger.
func (nbioLog) SetLevel(int) {}

// Debug drops lines that are only for nbio's authors.
func (nbioLog) Debug(string, ...any) {}

// Info drops it as well.
func (nbioLog) Info(string, ...any) {}

// Warn passes a warning on.
func (n nbioLog) Warn(f string, v ...any) { n.log.Warn(fmt.Sprintf(f, v...)) }

// Error passes an error on.
func (n nbioLog) Error(f string, v ...any) { n.log.Error(fmt.Sprintf(f, v...)) }
