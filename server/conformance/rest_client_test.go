package conformance

import (
	"io"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
)

const (
	textMessage   = websocket.TextMessage
	binaryMessage = websocket.BinaryMessage

	jsonType  = "application/json"
	bytesType = "application/octet-stream"
)

// answer is what a node said to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// post sends a request with a token of role authenticated, and more headers in pairs.
func (s *scene) post(path, contentType, body string, headers ...string) answer {
	s.t.Helper()
	return s.request(http.MethodPost, path, body, append([]string{"Authorization", "Bearer $authenticated", "Content-Type", contentType}, headers...)...)
}

// request sends a request; an empty header is left out.
func (s *scene) request(method, path, body string, headers ...string) answer {
	s.t.Helper()
	return s.requestTo(s.node.Addr(), method, path, body, headers...)
}

func (s *scene) requestTo(address, method, path, body string, headers ...string) answer {
	s.t.Helper()
	path, body = s.everywhere(path), s.everywhere(body)
	request, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if value := s.everywhere(headers[i+1]); value != "" {
			request.Header.Set(headers[i], value)
		}
	}
	s.log("%s %s %.300s", method, path, body)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.log("%s %s", response.Status, text)
	return answer{response.StatusCode, response.Header, string(text)}
}

// accepted publishes over REST and hears 202.
func (s *scene) accepted(path, contentType, body string, headers ...string) {
	s.t.Helper()
	s.is(s.post(path, contentType, body, headers...), http.StatusAccepted, "")
}

// is checks an answer; want is JSON with placeholders, or nothing for an empty body.
func (s *scene) is(a answer, status int, want string) {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("status %d %s, want %d", a.status, a.body, status)
	}
	if want == "" {
		if a.body != "" {
			s.t.Fatalf("the body is %q, want none", a.body)
		}
		return
	}
	w, err := parse(s.everywhere(want))
	if err != nil {
		s.t.Fatal(err)
	}
	got, err := parse(a.body)
	if err == nil {
		err = match(w, got, s.names)
	}
	if err != nil {
		s.t.Fatalf("the body: %v", err)
	}
}
