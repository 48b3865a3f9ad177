package protocol

import "testing"

var (
	benchMeta  = Meta{ID: "w001/planner-1/u17", Lane: Urgent, HLC: 117_000_000_000_000_000, From: "planner-1"}
	benchFrame = Frame{StringRef("3"), StringRef("9"), wed42, EventBroadcast, nil,
		&Broadcast{"timeline", JSON, benchMeta.Append(nil), []byte(timeline)}}
	benchText = Frame{StringRef("3"), StringRef("9"), wed42, EventBroadcast,
		AppendUserBroadcast(nil, &UserBroadcast{"timeline", []byte(timeline), benchMeta, true}), nil}
)

func BenchmarkDecodeText(b *testing.B) {
	for _, v := range []Version{V1, V2} {
		frame := AppendTextPush(nil, v, &benchText)
		b.Run(v.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if _, err := DecodeText(v, frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodePush(b *testing.B) {
	frame, err := AppendPush(nil, &benchFrame)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if _, err := DecodePush(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeBroadcast(b *testing.B) {
	frame, err := AppendBroadcast(nil, wed42, benchFrame.Broadcast)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBroadcast(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	dst := make([]byte, 0, 1024)
	b.Run("text", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst = AppendText(dst[:0], V2, &benchText)
		}
	})
	b.Run("kind4", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst, _ = AppendBroadcast(dst[:0], wed42, benchFrame.Broadcast)
		}
	})
	b.Run("meta", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst = benchMeta.Append(dst[:0])
		}
	})
}

func BenchmarkParseMeta(b *testing.B) {
	meta := benchMeta.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMeta(meta); err != nil {
			b.Fatal(err)
		}
	}
}
