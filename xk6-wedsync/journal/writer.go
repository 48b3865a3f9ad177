package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/wedsync/wedsync/internal/clock"
)

const (
	// maxPending bounds what may wait for the disk: some 50,000 records. What does not fit is counted and dropped, and
	// the run fails; a socket reader is never made to wait.
	maxPending = 8 << 20
	// flushEvery is how much of a killed run's tail is lost at most.
	flushEvery = time.Second
	// wakeAt is how much may pend before the writing goroutine is called ahead of its time.
	wakeAt = 256 << 10
)

// Writer writes a history. Its methods are safe for concurrent use and cost a short lock and an append; compressing and
// writing happen on one goroutine of its own.
type Writer struct {
	file *os.File
	zip  *gzip.Writer
	wake chan struct{}
	stop chan struct{}
	done chan error // the writing goroutine's last word

	mu sync.Mutex // guards the following
	// pending is what the goroutine has not taken yet; spare is the buffer that it has emptied.
	pending, spare []byte
	counts         [kinds]int64
	dropped        int64
	closed         bool
}

// Open creates the history in dir and writes its run record. An existing history is not overwritten.
func Open(dir string, seed uint64) (*Writer, error) {
	path := filepath.Join(dir, HistoryFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the history: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("creating the history (give each run a folder of its own): %w", err)
	}
	z, err := gzip.NewWriterLevel(file, gzip.BestSpeed)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the history's compression: %w", err), file.Close())
	}
	w := &Writer{file: file, zip: z, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan error, 1)}
	now := clock.Read()
	w.add(&Record{Kind: Run, Schema: Schema, T: now.MonoNS, WallNS: now.WallNS, Seed: seed})
	go w.drain() // owner: w; ends at Close; holds at most two buffers of maxPending
	return w, nil
}

// Close writes the end record and closes the file. It fails if anything could not be written, also earlier.
func (w *Writer) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errors.New("closing the history: it is closed already")
	}
	now := clock.Read()
	w.pending = Append(w.pending, &Record{Kind: End, T: now.MonoNS, WallNS: now.WallNS, Pubs: w.counts[Pub],
		Dones: w.counts[Done], Recvs: w.counts[Recv], Dups: w.counts[Dup], Bulks: w.counts[Bulk], Dropped: w.dropped})
	w.closed = true
	dropped := w.dropped
	w.mu.Unlock()
	close(w.stop)
	err := <-w.done
	if dropped > 0 {
		err = errors.Join(err, fmt.Errorf("the history lacks %d records: the disk was slower than the run, which proves nothing", dropped))
	}
	return err
}

// Vendor declares a vendor, before anything else of it is noted.
func (w *Writer) Vendor(t int64, wedding, vendor, kind string, homes int) {
	w.add(&Record{Kind: Vendor, T: t, Wedding: wedding, Vendor: vendor, Type: kind, Homes: int64(homes)})
}

// Session notes a change of one socket's state.
func (w *Writer) Session(t int64, vendor string, session int, region, state, why string) {
	w.add(&Record{Kind: Session, T: t, Vendor: vendor, Session: int64(session), Region: region, State: state, Why: why})
}

// Arrived notes a vendor's first join: from t on it must receive.
func (w *Writer) Arrived(t int64, vendor string) {
	w.add(&Record{Kind: Arrived, T: t, Vendor: vendor})
}

// Leaving notes that a vendor is about to leave: from t on it need not receive.
func (w *Writer) Leaving(t int64, vendor string) {
	w.add(&Record{Kind: Leaving, T: t, Vendor: vendor})
}

// Pub notes an attempt to publish, before it is made.
func (w *Writer) Pub(t int64, id, wedding, vendor, lane string, sched int64) {
	w.add(&Record{Kind: Pub, T: t, ID: id, Wedding: wedding, Vendor: vendor, Lane: lane, Sched: sched})
}

// Done notes how an attempt to publish ended.
func (w *Writer) Done(t int64, id, out, via string, held []string, why string) {
	w.add(&Record{Kind: Done, T: t, ID: id, Out: out, Via: via, Held: held, Why: why})
}

// Recv notes a message that a vendor's application was given.
func (w *Writer) Recv(t int64, vendor string, session int, id, via string, replayed bool) {
	w.add(&Record{Kind: Recv, T: t, Vendor: vendor, Session: int64(session), ID: id, Via: via, Replayed: replayed})
}

// Dup notes a message that the client held back because the application had it; same says that the same session had
// delivered it.
func (w *Writer) Dup(t int64, vendor string, session int, id, via string, same, replayed bool) {
	w.add(&Record{Kind: Dup, T: t, Vendor: vendor, Session: int64(session), ID: id, Via: via, Same: same, Replayed: replayed})
}

// Bulk notes a message of the bulk lane and what became of it. Kind is set here.
func (w *Writer) Bulk(r Record) {
	r.Kind = Bulk
	w.add(&r)
}

// Stall notes that a vendor stops reading its sockets, or reads them again.
func (w *Writer) Stall(t int64, vendor string, on bool) {
	w.add(&Record{Kind: Stall, T: t, Vendor: vendor, On: on})
}

// Lag notes the generator's own worst delay since the last note.
func (w *Writer) Lag(t int64, worst time.Duration) {
	w.add(&Record{Kind: Lag, T: t, MaxNS: int64(worst)})
}

// Dropped returns how many records could not be kept so far.
func (w *Writer) Dropped() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

func (w *Writer) add(r *Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.pending) > maxPending {
		w.dropped++
		return
	}
	w.pending = Append(w.pending, r)
	w.counts[r.Kind]++
	if len(w.pending) > wakeAt {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// drain writes what is pending when it is much, and flushes it once a second, so that a killed run leaves a file that
// can be read up to its last second. After a failed write it stops writing; Close reports it.
func (w *Writer) drain() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var err error
	for {
		stopped, flush := false, false
		select {
		case <-w.wake:
		case <-tick.C:
			flush = true
		case <-w.stop:
			stopped = true
		}
		w.mu.Lock()
		batch := w.pending
		w.pending, w.spare = w.spare[:0], nil
		w.mu.Unlock()
		if err == nil {
			_, err = w.zip.Write(batch)
		}
		if err == nil && flush {
			err = w.zip.Flush()
		}
		w.mu.Lock()
		w.spare = batch[:0]
		w.mu.Unlock()
		if stopped {
			if err == nil {
				err = w.zip.Close()
			}
			err = errors.Join(err, w.file.Close())
			if err != nil {
				err = fmt.Errorf("writing the history: %w", err)
			}
			w.done <- err
			return
		}
	}
}
