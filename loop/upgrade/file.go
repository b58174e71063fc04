package upgrade

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// File is served to a GET of its path, beside the one path that is upgraded. It never changes, so
// any goroutine may read it.
type File struct {
	path        string
	contentType string
	body        []byte
	gzipped     []byte
	etag        string // of the body; the gzipped one has another
}

// NewFile returns a file that pages of any origin may load. body must not change any more.
func NewFile(path, contentType string, body []byte) (*File, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	etag := fmt.Sprintf("%x", sha256.Sum256(body))[:32]
	return &File{path: path, contentType: contentType, body: body, gzipped: b.Bytes(), etag: etag}, nil
}

// answer returns the answer to a request that is not an upgrade: 200 or 304.
func (f *File) answer(a *asked) (response []byte, status int) {
	body, etag, encoding := f.body, `"`+f.etag+`"`, ""
	if accepts(field(a.lines, "Accept-Encoding"), "gzip") {
		body, etag, encoding = f.gzipped, `"`+f.etag+`-gzip"`, "Content-Encoding: gzip\r\n"
	}
	status = http.StatusOK
	if known := field(a.lines, "If-None-Match"); known == "*" || strings.Contains(known, etag) {
		status, body, encoding = http.StatusNotModified, nil, ""
	}
	b := make([]byte, 0, 512+len(body))
	b = fmt.Appendf(b, "HTTP/1.1 %d %s\r\nConnection: close\r\nETag: %s\r\nCache-Control: no-cache\r\n"+
		"Vary: Accept-Encoding\r\nAccess-Control-Allow-Origin: *\r\nCross-Origin-Resource-Policy: cross-origin\r\n"+
		"X-Content-Type-Options: nosniff\r\n", status, http.StatusText(status), etag)
	if status == http.StatusOK {
		b = fmt.Appendf(b, "%sContent-Type: %s\r\nContent-Length: %d\r\n", encoding, f.contentType, len(body))
	}
	b = append(b, "\r\n"...)
	if a.method == http.MethodHead {
		return b, status
	}
	return append(b, body...), status
}

// accepts reports whether a field such as Accept-Encoding lists a coding, and not with q=0.
func accepts(list, coding string) bool {
	for part := range strings.SplitSeq(list, ",") {
		name, weight, _ := strings.Cut(part, ";")
		if sameName(strings.TrimSpace(name), coding) {
			q, ok := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			return !ok || strings.Trim(q, "0.") != ""
		}
	}
	return false
}

// file returns the file that a refused request asks for, or nil.
func (a *asked) file(files []*File, r refusal) *File {
	get := r.status == http.StatusNotFound
	head := r.status == http.StatusMethodNotAllowed && a.method == http.MethodHead
	if len(files) == 0 || !get && !head {
		return nil
	}
	path, _, ok := a.location()
	i := slices.IndexFunc(files, func(f *File) bool { return ok && f.path == path })
	if i < 0 {
		return nil
	}
	return files[i]
}
