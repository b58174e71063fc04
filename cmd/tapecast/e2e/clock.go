package e2e

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tapecast/rooms/testwait"
)

// clock sets the wall clock of one process, as its Go code sees it. The monotonic clock goes on.
//
// A library that replaces libc's functions (libfaketime) does not reach Go, which calls the kernel's own
// function in the vDSO. So that is replaced, in the process's copy of it, by code that asks the kernel and
// adds an offset. librdkafka, which asks through libc, keeps the machine's clock: it waits until times of
// day, and the kernel, which ends these waits, knows of no offset.
type clock struct {
	memory *os.File
	offset int64 // its address; it is in seconds
}

// steppedTime takes the place of clock_gettime. The four bytes at steppedBy say how far the offset is from
// the byte behind them.
var steppedTime = []byte{
	0xb8, 228, 0, 0, 0, // mov eax, SYS_clock_gettime
	0x0f, 0x05, // syscall
	0x85, 0xff, 0x75, 17, // unless edi is CLOCK_REALTIME, skip 17
	0x83, 0x7c, 0x24, 4, 0, 0x75, 10, // if the caller is above 4 GiB, as libraries are, skip 10
	0x48, 0x8b, 0x0d, 0, 0, 0, 0, // mov rcx, [offset]
	0x48, 0x01, 0x0e, 0xc3, // add [rsi], rcx; ret
}

const steppedBy = 21

// clockwork takes the gateway's clock. An error says why that cannot be done here.
func (g *gateway) clockwork() (c *clock, err error) {
	if g.clock == nil {
		if g.clock, err = clockOf(g.cmd.Process.Pid); err == nil {
			g.t.Cleanup(func() { g.clock.memory.Close() })
		}
	}
	return g.clock, err
}

func clockOf(pid int) (*clock, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("no code for %s on %s", runtime.GOOS, runtime.GOARCH)
	}
	base, size, err := vdsoOf(pid)
	if err != nil {
		return nil, err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	c := &clock{memory: memory}
	if err := c.replace(pid, base, size); err != nil {
		memory.Close()
		return nil, fmt.Errorf("cannot replace the kernel's functions: %w", err)
	}
	return c, nil
}

// set makes the wall clock be so far ahead.
func (c *clock) set(ahead time.Duration) error {
	_, err := c.memory.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(ahead/time.Second)), c.offset)
	return err
}

func (c *clock) replace(pid int, base, size int64) error {
	image := make([]byte, size)
	if _, err := c.memory.ReadAt(image, base); err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return err
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return err
	}
	const room = 64 // for the code and the offset, in what is left of the last page
	at, free := int64(0), base+size-room
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			at = base + int64(s.Value)
		}
	}
	if at == 0 || len(bytes.Trim(image[size-room:], "\x00")) > 0 {
		return fmt.Errorf("the vDSO has no such function, or no room")
	}
	c.offset = base + size - 8
	code := bytes.Clone(steppedTime)
	binary.LittleEndian.PutUint32(code[steppedBy:], uint32(c.offset-free-steppedBy-4))
	if _, err := c.memory.WriteAt(code, free); err != nil {
		return err
	}
	return c.jump(pid, at, binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(free-at-5)))
}

// jump writes a jump while no thread is within what it overwrites.
func (c *clock) jump(pid int, to int64, code []byte) error {
	for range 100 {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
		safe := testwait.Holds(time.Second, func() bool { return apart(pid, to, to+int64(len(code))) })
		var err error
		if safe {
			_, err = c.memory.WriteAt(code, to)
		}
		if k := syscall.Kill(pid, syscall.SIGCONT); k != nil {
			return k
		}
		if safe {
			return err
		}
	}
	return fmt.Errorf("some thread is always within it")
}

// apart reports whether all threads are stopped, each outside of these addresses.
func apart(pid int, from, to int64) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		fields := strings.Fields(string(b))
		if err != nil || len(fields) < 3 {
			return false // it runs
		}
		at, err := strconv.ParseInt(fields[len(fields)-1], 0, 64)
		if err != nil || at > from && at < to {
			return false
		}
	}
	return len(tasks) > 0
}

// vdsoOf returns where the kernel's functions are in a process.
func vdsoOf(pid int) (base, size int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "[vdso]") {
			var end int64
			_, err := fmt.Sscanf(line, "%x-%x", &base, &end)
			return base, end - base, err
		}
	}
	return 0, 0, fmt.Errorf("no vDSO in process %d", pid)
}
