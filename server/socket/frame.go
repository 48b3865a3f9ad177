package socket

import "encoding/binary"

// Opcodes of WebSocket frames (RFC 6455 §5.2).
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPong   = 0xA

	final = 0x80 // the frame is a whole message

	// headRoom is the longest header of a server's frame: two bytes and a 64-bit length. Begin
	// leaves it free, so that the header is written in front of a payload of any size in place.
	headRoom = 10
)

// Frame is one finished WebSocket frame, header included. It is immutable: a fan-out makes it once
// and every recipient's queue holds the same bytes.
type Frame struct{ bytes []byte }

// Begin returns a buffer to append a payload of about size bytes to; Text or Binary finish it.
func Begin(size int) []byte { return make([]byte, headRoom, headRoom+size) }

// Text finishes a buffer from Begin as a text frame.
func Text(buf []byte) Frame { return finish(opText, buf) }

// Binary finishes a buffer from Begin as a binary frame.
func Binary(buf []byte) Frame { return finish(opBinary, buf) }

// control makes a control frame, whose payload has at most 125 bytes.
func control(op byte, payload []byte) Frame {
	return finish(op, append(Begin(len(payload)), payload...))
}

// finish writes the header right in front of the payload. Servers do not mask.
func finish(op byte, buf []byte) Frame {
	switch n := len(buf) - headRoom; {
	case n < 126:
		buf = buf[headRoom-2:]
		buf[1] = byte(n)
	case n <= 0xFFFF:
		buf = buf[headRoom-4:]
		buf[1] = 126
		binary.BigEndian.PutUint16(buf[2:], uint16(n))
	default:
		buf = buf[headRoom-10:]
		buf[1] = 127
		binary.BigEndian.PutUint64(buf[2:], uint64(n))
	}
	buf[0] = final | op
	return Frame{bytes: buf}
}

// Len is the size of the frame on the wire.
func (f Frame) Len() int { return len(f.bytes) }

// IsText says whether the frame is a text frame.
func (f Frame) IsText() bool { return f.bytes[0]&0xF == opText }

// Payload is the frame without its header. It must not be changed.
func (f Frame) Payload() []byte {
	switch f.bytes[1] {
	case 126:
		return f.bytes[4:]
	case 127:
		return f.bytes[10:]
	}
	return f.bytes[2:]
}
