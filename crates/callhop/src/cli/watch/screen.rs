//! What a key does, and what is looked at: the list, how far down, the filter.
//!
//! Pure: a key and what was known in, what is shown out.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::feed::News;
use super::state::{Link, Picture};

/// One of the lists, from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Switches,
    Calls,
    Extensions,
    Moves,
}

impl List {
    pub(super) const ALL: [Self; 4] = [Self::Switches, Self::Calls, Self::Extensions, Self::Moves];

    pub(super) fn place(self) -> usize {
        self as usize
    }

    fn beside(self, step: usize) -> Self {
        Self::ALL[(self.place() + step) % Self::ALL.len()]
    }
}

/// What the keys mean now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They move.
    Look,
    /// They are the filter's text.
    Filter,
    /// Any ends the help.
    Help,
}

/// Whether it goes on after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    GoOn,
    End,
}

/// How far a list is scrolled.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Scroll {
    /// The first line that is shown. Whoever draws keeps it inside the list.
    pub(super) first: usize,
    /// How many lines were shown last.
    pub(super) shown: usize,
}

#[derive(Debug)]
pub(super) struct Screen {
    pub(super) picture: Picture,
    pub(super) link: Link,
    pub(super) mode: Mode,
    pub(super) selected: List,
    /// The selected list has the whole screen.
    pub(super) alone: bool,
    pub(super) filter: String,
    pub(super) scrolls: [Scroll; 4],
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            picture: Picture::default(),
            link: Link::Live,
            mode: Mode::Look,
            selected: List::Extensions,
            alone: false,
            filter: String::new(),
            scrolls: [Scroll::default(); 4],
        }
    }

    /// Takes in what the controller says.
    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Told(told) => self.picture.apply(told),
            News::Link(link) => self.link = link,
            News::Alive => {}
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Flow {
        if key.kind == KeyEventKind::Release {
            return Flow::GoOn;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Flow::End,
                _ => Flow::GoOn,
            };
        }
        match self.mode {
            Mode::Look => return self.look(key.code),
            Mode::Filter => self.edit(key.code),
            Mode::Help => self.mode = Mode::Look,
        }
        Flow::GoOn
    }

    fn look(&mut self, key: KeyCode) -> Flow {
        let scroll = &mut self.scrolls[self.selected.place()];
        let page = scroll.shown.max(1);
        match key {
            KeyCode::Char('q') => return Flow::End,
            KeyCode::Esc if self.filter.is_empty() => return Flow::End,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Tab | KeyCode::Right => self.selected = self.selected.beside(1),
            KeyCode::BackTab | KeyCode::Left => {
                self.selected = self.selected.beside(List::ALL.len() - 1);
            }
            KeyCode::Enter => self.alone = !self.alone,
            KeyCode::Down | KeyCode::Char('j') => scroll.first = scroll.first.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => scroll.first = scroll.first.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => {
                scroll.first = scroll.first.saturating_add(page);
            }
            KeyCode::PageUp => scroll.first = scroll.first.saturating_sub(page),
            KeyCode::Home | KeyCode::Char('g') => scroll.first = 0,
            KeyCode::End | KeyCode::Char('G') => scroll.first = usize::MAX,
            _ => {}
        }
        Flow::GoOn
    }

    fn edit(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.mode = Mode::Look,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Look;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(one) => self.filter.push(one),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(screen: &mut Screen, keys: &[KeyCode]) -> Flow {
        let mut flow = Flow::GoOn;
        for key in keys {
            flow = screen.key((*key).into());
        }
        flow
    }

    fn text(text: &str) -> Vec<KeyCode> {
        text.chars().map(KeyCode::Char).collect()
    }

    #[test]
    fn it_ends_by_q_escape_and_control_c() {
        let ends = |key: KeyEvent| Screen::new().key(key) == Flow::End;
        assert!(ends(KeyCode::Char('q').into()));
        assert!(ends(KeyCode::Esc.into()));
        assert!(ends(KeyEvent::new(
            KeyCode::Char('c'),
            KeyModifiers::CONTROL
        )));
        assert!(!ends(KeyCode::Char('c').into()));
        assert!(!ends(KeyEvent::new(
            KeyCode::Char('z'),
            KeyModifiers::CONTROL
        )));
    }

    #[test]
    fn letters_of_a_filter_are_no_commands() {
        let mut screen = Screen::new();
        assert_eq!(press(&mut screen, &text("/q?x")), Flow::GoOn);
        assert_eq!((screen.filter.as_str(), screen.mode), ("q?x", Mode::Filter));
        press(&mut screen, &[KeyCode::Backspace, KeyCode::Enter]);
        assert_eq!((screen.filter.as_str(), screen.mode), ("q?", Mode::Look));
        // The first Escape takes the filter away, the second one ends.
        assert_eq!(press(&mut screen, &[KeyCode::Esc]), Flow::GoOn);
        assert_eq!(screen.filter, "");
        assert_eq!(press(&mut screen, &[KeyCode::Esc]), Flow::End);
    }

    #[test]
    fn any_key_ends_the_help() {
        let mut screen = Screen::new();
        press(&mut screen, &text("?"));
        assert_eq!(screen.mode, Mode::Help);
        assert_eq!(press(&mut screen, &text("q")), Flow::GoOn);
        assert_eq!(screen.mode, Mode::Look);
    }

    #[test]
    fn the_lists_go_round() {
        let mut screen = Screen::new();
        press(&mut screen, &[KeyCode::Tab]);
        assert_eq!(screen.selected, List::Moves);
        press(&mut screen, &[KeyCode::Tab]);
        assert_eq!(screen.selected, List::Switches);
        press(&mut screen, &[KeyCode::BackTab]);
        assert_eq!(screen.selected, List::Moves);
    }
}
