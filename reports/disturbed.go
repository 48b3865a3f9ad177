package reports

// MoveRow is how the clients fared that a draining node asked to move.
type MoveRow struct {
	Moved    int     `json:"moved"`
	Seamless int     `json:"seamless"` // joined elsewhere before they left
	Gaps     Figures `json:"gaps"`     // of the others
}

// PauseRow is how the vendors fared that stopped reading for a while.
type PauseRow struct {
	Pauses  int     `json:"pauses"`
	CatchUp Figures `json:"catch_up"` // until they had what had become due meanwhile
}

func (a *analysis) moves() *MoveRow {
	m := a.judged.Moves()
	if m.Moved == 0 {
		return nil
	}
	return &MoveRow{Moved: m.Moved, Seamless: m.Seamless, Gaps: figuresOf(&m.Gaps)}
}

func (a *analysis) pauses() *PauseRow {
	l := a.judged.Pauses()
	if l.Len() == 0 {
		return nil
	}
	return &PauseRow{Pauses: l.Len(), CatchUp: figuresOf(l)}
}
