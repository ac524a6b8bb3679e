//! Draws a [`Screen`]. Owns the look; refuses to know where anything comes from.
//!
//! From top to bottom: one line about the link, notices if there are any, the four lists, one line about the keys. Each list
//! gets as many lines as it needs while there is room, and its fair share when there is not. Everything is said in words;
//! colour only repeats it, and is left out where `NO_COLOR` is set (no-color.org).

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::screen::{List, Mode, Screen};
use super::state::{Call, Extension, Link, Move, Switch, number, words};

/// The controller says something every 15 seconds at least.
const QUIET: Duration = Duration::from_secs(40);

const HELP: &str = "\
Tab, Shift-Tab      the next list, the one before
Up, Down, k, j      scroll the list by a line
PgUp, PgDn, Space   scroll it by a page
Home, End, g, G     its first lines, its last lines
Enter               give the list the whole screen, and take it back
/                   show only what has a text in it: a number, a name, a state
Esc                 take the filter away; without one, end
?                   this help
q, Ctrl-C           end

A stale switch is not connected: what is shown of it was known last.
A lag says how late the events of a switch are. Times are in UTC.
A gap says how long the far end of a moved call was in no bridge.

Any key goes back.";

const KEYS: &str = "q end   / filter   Tab next list   arrows scroll   Enter whole screen   ? help";

/// Where and how it is drawn.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// The controller's address.
    pub(super) address: String,
    /// Whether there is colour.
    pub(super) colour: bool,
}

/// Draws `screen`; `quiet`: how long ago the last news came.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen, look: &Look, quiet: Duration) {
    let area = frame.area();
    if area.height == 0 {
        return;
    }
    let width = usize::from(area.width);
    let mut top = vec![head(screen, look)];
    for notice in notices(screen, quiet) {
        let words = notice.split(' ').map(|word| vec![plain(word)]).collect();
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let lines = flow(Vec::new(), words, " ", width);
        top.extend(lines.into_iter().map(|line| line.style(bold)));
    }
    top.truncate(usize::from(area.height).saturating_sub(1).max(1));
    // There are no more lines than the screen has, which is a `u16`.
    let height = u16::try_from(top.len()).unwrap_or(area.height);
    frame.render_widget(Paragraph::new(top), Rect { height, ..area });
    if height >= area.height {
        return;
    }
    let body = Rect {
        y: area.y + height,
        height: area.height - height - 1,
        ..area
    };
    if screen.mode == Mode::Help {
        frame.render_widget(Paragraph::new(HELP), body);
    } else {
        lists(frame, screen, look, body);
    }
    let keys = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    foot(frame, screen, keys);
}

fn head<'a>(screen: &Screen, look: &Look) -> Line<'a> {
    let link = match screen.link {
        Link::Live => state("live", look),
        Link::Away { .. } => state("away", look),
    };
    let version = clean(&screen.picture.status.version);
    Line::from(vec![
        plain(&format!("Callhop {version} at {}: ", look.address)),
        link,
    ])
}

fn notices(screen: &Screen, quiet: Duration) -> Vec<String> {
    let mut notices = Vec::new();
    match &screen.link {
        Link::Away { why, again } => {
            let again = again.saturating_sub(quiet).as_secs_f32().ceil();
            notices.push(format!(
                "{why}; trying again in {again} s. What is shown was known last."
            ));
        }
        Link::Live if quiet > QUIET => notices.push(format!(
            "The controller has said nothing for {} s. What is shown was known then.",
            quiet.as_secs()
        )),
        Link::Live => {}
    }
    if screen.picture.status.database == Some(false) {
        notices.push(
            "The database does not answer: routes cannot be changed, and may be shown as they were."
                .into(),
        );
    }
    notices
}

fn foot(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let filter = clean(&screen.filter);
    let line = match screen.mode {
        Mode::Filter => {
            let line = Line::from(format!("Show only what has: {filter}"));
            let x = u16::try_from(line.width()).unwrap_or(u16::MAX);
            let x = x.min(area.width.saturating_sub(1));
            frame.set_cursor_position(Position::new(area.x + x, area.y));
            line
        }
        Mode::Look if !filter.is_empty() => Line::from(format!(
            "Only what has \"{filter}\"; Esc shows all   q end   ? help"
        )),
        Mode::Look | Mode::Help => Line::from(KEYS),
    };
    frame.render_widget(Paragraph::new(line), area);
}

/// A list that is ready to be drawn.
struct Content<'a> {
    title: String,
    lines: Vec<Line<'a>>,
}

fn lists(frame: &mut Frame<'_>, screen: &mut Screen, look: &Look, area: Rect) {
    let width = usize::from(area.width);
    let contents = [
        switches(screen, look, width),
        calls(screen, look, width),
        extensions(screen, look, width),
        moves(screen, look, width),
    ];
    let wishes = List::ALL.map(|list| match screen.alone {
        true if list == screen.selected => usize::MAX,
        true => 0,
        false => 1 + contents[list.place()].lines.len(),
    });
    let heights = shares(wishes, usize::from(area.height));
    let mut y = area.y;
    for (list, Content { title, lines }) in List::ALL.into_iter().zip(contents) {
        let height = heights[list.place()];
        if height == 0 {
            continue;
        }
        let scroll = &mut screen.scrolls[list.place()];
        scroll.shown = height - 1;
        scroll.first = scroll.first.min(lines.len().saturating_sub(scroll.shown));
        let mut all = vec![title_line(
            title,
            screen.selected == list,
            (scroll.first, scroll.shown, lines.len()),
        )];
        all.extend(lines.into_iter().skip(scroll.first).take(scroll.shown));
        // No share is larger than the area, which has a `u16`.
        let height = u16::try_from(height).unwrap_or(area.height);
        let place = Rect { y, height, ..area };
        frame.render_widget(Paragraph::new(all), place);
        y += height;
    }
}

fn title_line<'a>(
    title: String,
    selected: bool,
    (first, shown, all): (usize, usize, usize),
) -> Line<'a> {
    let mark = if selected { "> " } else { "  " };
    let mut text = format!("{mark}{title}");
    if shown < all {
        text += &format!("   lines {}-{} of {all}", first + 1, first + shown);
    }
    let style = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    Line::styled(text, style)
}

/// Who gets how many of `room` lines: nobody more than they wish, and the rest evenly.
fn shares(wishes: [usize; 4], room: usize) -> [usize; 4] {
    let mut shares = [0; 4];
    let mut left = room;
    loop {
        let wanting = wishes
            .iter()
            .zip(shares)
            .filter(|(wish, share)| share < *wish);
        // Nobody wants more, or there is less than a line for each.
        let each = left.checked_div(wanting.count()).unwrap_or(0);
        if each == 0 {
            break;
        }
        for (share, wish) in shares.iter_mut().zip(wishes) {
            let more = each.min(wish - *share);
            *share += more;
            left -= more;
        }
    }
    for (share, wish) in shares.iter_mut().zip(wishes) {
        if left > 0 && *share < wish {
            *share += 1;
            left -= 1;
        }
    }
    shares
}

fn switches<'a>(screen: &Screen, look: &Look, width: usize) -> Content<'a> {
    let all = &screen.picture.switches;
    let names = widest(all.iter().map(|one| one.name.as_str()));
    let line = |one: &Switch| {
        let mut items = vec![vec![state(if one.fresh { "fresh" } else { "stale" }, look)]];
        if one.fresh {
            items.push(vec![plain(&few(one.legs, "leg"))]);
            if one.moves > 0 {
                items.push(vec![plain(&format!(
                    "{} under way",
                    few(one.moves, "move")
                ))]);
            }
            if let Some(lag) = one.lag_ms {
                items.push(vec![plain(&format!("events {lag} ms late"))]);
            }
        } else {
            let text = match one.since.as_deref().map(time) {
                Some(since) => format!("not connected since {since}"),
                None => String::from("not connected"),
            };
            items.push(vec![plain(&text)]);
            items.push(vec![plain("this is what was known last")]);
        }
        flow(vec![first(&one.name, names)], items, ", ", width)
    };
    Content {
        title: format!("Switches {}", all.len()),
        lines: or_none(all.iter().flat_map(line).collect(), "none is configured"),
    }
}

fn calls<'a>(screen: &Screen, look: &Look, width: usize) -> Content<'a> {
    let all = &screen.picture.calls;
    let names = widest(all.iter().map(|one| one.switch.as_str()));
    let line = |one: &Call| {
        let leg = |leg: &super::state::Leg| {
            vec![
                plain(&leg.who()),
                plain(" "),
                state(&words(&leg.state), look),
            ]
        };
        let mut items: Vec<_> = one.legs.iter().map(leg).collect();
        if let Some(moving) = &one.moving {
            items.push(vec![state_as(&moving.text(), "under way", look)]);
        }
        flow(vec![first(&one.switch, names)], items, ", ", width)
    };
    let rows = all.iter().map(line).collect();
    filtered("Calls", rows, &screen.filter, "no calls")
}

fn extensions<'a>(screen: &Screen, look: &Look, width: usize) -> Content<'a> {
    let all = &screen.picture.extensions;
    let ids = widest(all.values().map(|one| one.id.as_str()));
    let line = |one: &Extension| {
        let mut items: Vec<_> = one
            .devices
            .iter()
            .map(|device| {
                let does = device.does();
                vec![
                    plain(number(&device.device)),
                    plain(" "),
                    state(&does, look),
                ]
            })
            .collect();
        for (place, text) in one.rings().iter().enumerate() {
            let what = if place == 0 { "calls ring: " } else { "" };
            items.push(vec![plain(&format!("{what}{text}"))]);
        }
        flow(vec![first(&one.id, ids)], items, ", ", width)
    };
    let rows = all.values().map(line).collect();
    let none = "none yet: callhop extension add 1000@example.com --device 1001";
    let mut content = filtered("Extensions", rows, &screen.filter, none);
    if screen.picture.status.more {
        content.title += ", the first ones of more";
    }
    content
}

fn moves<'a>(screen: &Screen, look: &Look, width: usize) -> Content<'a> {
    let cells = |one: &Move| {
        let to = one.to.as_deref().map_or("-", number);
        let cause = one
            .cause
            .as_deref()
            .map(|cause| format!(": {}", words(cause)));
        let mut result = one.result() + &cause.unwrap_or_default();
        for (what, ms) in [("in", one.took_ms), ("gap", one.gap_ms)] {
            match ms {
                Some(ms) if ms < 1000 => result += &format!(", {what} {ms} ms"),
                Some(ms) => result += &format!(", {what} {}.{} s", ms / 1000, ms % 1000 / 100),
                None => {}
            }
        }
        [
            time(&one.started),
            one.kind.clone(),
            one.extension.clone(),
            format!("{} to {to}", number(&one.from)),
            result,
        ]
    };
    let all: Vec<_> = screen
        .picture
        .moves
        .iter()
        .map(|one| (one, cells(one)))
        .collect();
    let widths: Vec<_> = (0..5)
        .map(|column| widest(all.iter().map(|(_, cells)| cells[column].as_str())))
        .collect();
    let line = |(one, cells): &(&Move, [String; 5])| {
        let [time, kind, extension, from, result] = cells;
        let head = vec![first(time, widths[0]), cell(kind, widths[1])];
        let items = vec![
            vec![cell(extension, widths[2])],
            vec![cell(from, widths[3])],
            vec![state_as(result, &one.result(), look)],
        ];
        flow(head, items, "", width)
    };
    let rows = all.iter().map(line).collect();
    filtered("Last moves", rows, &screen.filter, "no moves yet")
}

/// The rows that have the filter's text in them, with a title that says how many.
fn filtered<'a>(title: &str, rows: Vec<Vec<Line<'a>>>, filter: &str, none: &str) -> Content<'a> {
    let all = rows.len();
    let filter = filter.to_lowercase();
    let has = |row: &Vec<Line<'_>>| {
        let text: Vec<_> = row.iter().map(ToString::to_string).collect();
        let text = text.join(" ").to_lowercase();
        filter.is_empty() || text.contains(&filter)
    };
    let rows: Vec<_> = rows.into_iter().filter(has).collect();
    let title = match filter.is_empty() {
        true => format!("{title} {all}"),
        false => format!("{title} {} of {all}", rows.len()),
    };
    let none = if all > 0 {
        "none of them has that"
    } else {
        none
    };
    Content {
        title,
        lines: or_none(rows.into_iter().flatten().collect(), none),
    }
}

fn or_none<'a>(mut lines: Vec<Line<'a>>, none: &str) -> Vec<Line<'a>> {
    if lines.is_empty() {
        lines.push(Line::from(format!("  {none}")));
    }
    lines
}

/// `items` one after the other, on as many lines as they need, each under the first one.
fn flow<'a>(
    head: Vec<Span<'a>>,
    items: Vec<Vec<Span<'a>>>,
    between: &str,
    width: usize,
) -> Vec<Line<'a>> {
    let indent: usize = head.iter().map(Span::width).sum();
    let mut lines = vec![Line::from(head)];
    let mut used = indent;
    let last = items.len().saturating_sub(1);
    for (place, mut item) in items.into_iter().enumerate() {
        if place < last && !between.is_empty() {
            item.push(Span::raw(between.to_owned()));
        }
        let needs: usize = item.iter().map(Span::width).sum();
        // What stands behind an item may be cut.
        let counts = needs
            - if place < last {
                between.trim_start().len().min(1)
            } else {
                0
            };
        if used > indent && used + counts > width {
            lines.push(Line::from(" ".repeat(indent.min(width / 2))));
            used = indent.min(width / 2);
        }
        if let Some(line) = lines.last_mut() {
            line.spans.extend(item);
        }
        used += needs;
    }
    lines
}

fn widest<'t>(texts: impl Iterator<Item = &'t str>) -> usize {
    texts.map(|text| plain(text).width()).max().unwrap_or(0)
}

/// The first column's text, which stands under its list's title.
fn first<'a>(text: &str, width: usize) -> Span<'a> {
    let cell = cell(text, width);
    Span::raw(format!("  {}", cell.content))
}

/// A column's text, with two spaces before the next one.
fn cell<'a>(text: &str, width: usize) -> Span<'a> {
    let text = clean(text);
    let pad = width.saturating_sub(Span::raw(text.as_str()).width());
    Span::raw(format!("{text}{}  ", " ".repeat(pad)))
}

fn plain<'a>(text: &str) -> Span<'a> {
    Span::raw(clean(text))
}

/// A state, in the colour of its word.
fn state<'a>(word: &str, look: &Look) -> Span<'a> {
    state_as(word, word, look)
}

/// A text in the colour of `word`.
fn state_as<'a>(text: &str, word: &str, look: &Look) -> Span<'a> {
    let colour = match word.trim_end_matches(" (stale)") {
        "live" | "fresh" | "talking" | "moved" => Some(Color::Green),
        "ringing" | "early" | "calling" | "under way" => Some(Color::Cyan),
        "held" | "holding" | "alone" | "busy" | "recalled" => Some(Color::Yellow),
        "away" | "stale" | "not moved" => Some(Color::Red),
        _ => None,
    };
    let span = plain(text);
    match colour {
        Some(colour) if look.colour => span.style(Style::new().fg(colour)),
        _ => span,
    }
}

/// A text from outside: nothing in it tells the terminal to do something, or turns the line's direction.
fn clean(text: &str) -> String {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(bad, "?")
}

fn few(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// `11-28 06:41:02` of a time as the API writes it.
fn time(text: &str) -> String {
    match text.get(5..19) {
        Some(time) => time.replace('T', " "),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::watch::feed::News;
    use crate::cli::watch::state::Told;

    fn site() -> Value {
        let on = |registered: u64, state: &str, fresh: bool| json!([{"switch": "lab", "fresh": fresh, "registered": registered, "state": state, "calls": 0}]);
        let leg = |device: Option<&str>, number: &str, name: &str, state: &str| json!({"channel": "c", "device": device, "party": {"number": number, "name": name}, "state": state});
        let done = |kind: &str,
                    to: &str,
                    outcome: &str,
                    cause: Option<&str>,
                    took: u64,
                    gap: Option<u64>| {
            json!({"id": "m", "kind": kind, "switch": "lab", "extension": "1000@lab.test", "from": "1001@lab.test",
                "to": to, "stage": "asked", "started": "2026-11-28T06:41:02Z", "ended": "2026-11-28T06:41:03Z",
                "outcome": outcome, "cause": cause, "took_ms": took, "gap_ms": gap})
        };
        json!({
            "status": {"version": "0.1.0", "database": true, "more": false},
            "switches": [
                {"name": "lab", "fresh": true, "legs": 5, "moves": 1, "late_events": 0, "lag_ms": 12, "since": null},
                {"name": "berlin", "fresh": false, "legs": 0, "moves": 0, "late_events": 0, "lag_ms": null,
                 "since": "2026-11-28T06:40:00Z"}],
            "calls": [
                {"switch": "lab", "legs": [leg(None, "901", "Carol", "talking"), leg(Some("1001@lab.test"), "901", "", "talking")],
                 "moving": {"kind": "push", "extension": "1000@lab.test", "stage": "ringing", "to": "2001"}},
                {"switch": "lab", "legs": [leg(None, "902", "\u{1b}[31mDave", "early"), leg(Some("1002@lab.test"), "902", "", "ringing"),
                 leg(Some("2001@lab.test"), "902", "", "ringing")], "moving": null}],
            "extensions": [
                {"id": "1000@lab.test", "version": 1,
                 "route": {"rings": "all_devices", "to": null, "until": null, "next_call": false, "in_force": true},
                 "devices": [{"device": "1001@lab.test", "switches": on(1, "talking", true)},
                    {"device": "1002@lab.test", "switches": on(2, "ringing", true)},
                    {"device": "1003@lab.test", "switches": on(0, "idle", true)}]},
                {"id": "2000@lab.test", "version": 1,
                 "route": {"rings": "device", "to": "2001@lab.test", "until": "2026-11-28T18:00:00Z", "next_call": true,
                    "in_force": true},
                 "devices": [{"device": "2001@lab.test", "switches": on(1, "idle", false)}]}],
            "moves": [done("pull", "1002@lab.test", "moved", None, 35, Some(20)),
                done("push", "2001", "not_moved", Some("user_busy"), 4200, None)],
        })
    }

    fn screen(data: Value) -> Screen {
        let mut screen = Screen::new();
        let all = serde_json::from_value(data).unwrap();
        screen.take(News::Link(Link::Live));
        screen.take(News::Told(Told::Snapshot(all)));
        screen
    }

    fn drawn(
        screen: &mut Screen,
        (width, height): (u16, u16),
        quiet: u64,
        colour: bool,
    ) -> TestBackend {
        let look = Look {
            address: "127.0.0.1:8021".into(),
            colour,
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let quiet = Duration::from_secs(quiet);
        terminal
            .draw(|frame| draw(frame, screen, &look, quiet))
            .unwrap();
        terminal.backend().clone()
    }

    /// The text of the screen, without what is empty at the end of each line.
    fn text(screen: &mut Screen, size: (u16, u16), quiet: u64) -> String {
        let backend = drawn(screen, size, quiet, true);
        let cells = backend.buffer().content();
        let lines = cells.chunks(size.0.into()).map(|line| {
            let line: String = line.iter().map(|cell| cell.symbol()).collect();
            line.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    #[test]
    fn everything_is_on_a_screen_of_80_by_24() {
        let expect = "\
Callhop 0.1.0 at 127.0.0.1:8021: live
  Switches 2
  lab     fresh, 5 legs, 1 move under way, events 12 ms late
  berlin  stale, not connected since 11-28 06:40:00, this is what was known last
  Calls 2
  lab  901 (Carol) talking, 1001@lab.test talking,
       push by 1000@lab.test, ringing 2001
  lab  902 (?[31mDave) early, 1002@lab.test ringing, 2001@lab.test ringing
> Extensions 2
  1000@lab.test  1001 talking, 1002 ringing, 1003 not registered,
                 calls ring: all devices
  2000@lab.test  2001 registered (stale), calls ring: only 2001,
                 until 2026-11-28 18:00:00Z, for the next call
  Last moves 2
  11-28 06:41:02  pull  1000@lab.test  1001 to 1002  moved, in 35 ms, gap 20 ms
  11-28 06:41:02  push  1000@lab.test  1001 to 2001
                        not moved: user busy, in 4.2 s






q end   / filter   Tab next list   arrows scroll   Enter whole screen   ? help";
        assert_eq!(text(&mut screen(site()), (80, 24), 0), expect);
    }

    #[test]
    fn a_filter_leaves_what_has_its_text() {
        let mut screen = screen(site());
        for key in "/CAROL".chars() {
            screen.key(KeyCode::Char(key).into());
        }
        let text = text(&mut screen, (80, 24), 0);
        assert!(text.contains("  Calls 1 of 2"), "{text}");
        assert!(text.contains("> Extensions 0 of 2"), "{text}");
        assert!(text.contains("none of them has that"), "{text}");
        assert!(!text.contains("Dave"), "{text}");
        assert!(text.ends_with("Show only what has: CAROL"), "{text}");
    }

    #[test]
    fn who_is_away_and_what_is_late_is_said() {
        let mut screen = screen(site());
        let quiet = text(&mut screen, (80, 24), 41);
        assert!(quiet.contains("has said nothing for 41 s"), "{quiet}");
        screen.take(News::Link(Link::Away {
            why: "the controller has closed the stream".into(),
            again: Duration::from_secs(8),
        }));
        let away = text(&mut screen, (80, 24), 3);
        let expect = "Callhop 0.1.0 at 127.0.0.1:8021: away\n\
            the controller has closed the stream; trying again in 5 s. What is shown was\nknown last.\n";
        assert!(away.starts_with(expect), "{away}");
        let mut without = site();
        without["status"]["database"] = false.into();
        let text = text(&mut self::screen(without), (80, 24), 0);
        assert!(text.contains("The database does not answer"), "{text}");
    }

    #[test]
    fn a_long_list_is_scrolled_and_never_beyond_its_end() {
        let mut many = site();
        let one = many["extensions"][0].clone();
        let all = (0..100).map(|n| {
            let mut one = one.clone();
            one["id"] = format!("{}@lab.test", 1000 + n).into();
            one
        });
        many["extensions"] = all.collect();
        let mut screen = screen(many);
        let first = text(&mut screen, (100, 24), 0);
        assert!(
            first.contains("> Extensions 100   lines 1-12 of 100"),
            "{first}"
        );
        assert!(first.contains("Last moves 2\n"), "{first}");
        screen.key(KeyCode::PageDown.into());
        let second = text(&mut screen, (100, 24), 0);
        assert!(
            second.contains("lines 13-24 of 100") && second.contains("1012@"),
            "{second}"
        );
        screen.key(KeyCode::End.into());
        screen.key(KeyCode::Down.into());
        let last = text(&mut screen, (100, 24), 0);
        assert!(
            last.contains("lines 89-100 of 100") && last.contains("1099@"),
            "{last}"
        );
        screen.key(KeyCode::Enter.into());
        let alone = text(&mut screen, (100, 24), 0);
        assert!(alone.contains("lines 80-100 of 100"), "{alone}");
        assert!(!alone.contains("Calls 2"), "{alone}");
    }

    #[test]
    fn the_help_is_on_a_screen_of_80_by_24() {
        let mut screen = screen(site());
        screen.key(KeyCode::Char('?').into());
        let text = text(&mut screen, (80, 24), 0);
        for line in HELP.lines().chain([KEYS]) {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn no_size_is_too_small() {
        for size in [(1, 1), (2, 2), (10, 3), (20, 5), (300, 100)] {
            drawn(&mut screen(site()), size, 99, true);
        }
    }

    #[test]
    fn without_colour_the_words_are_the_same() {
        let coloured = |colour| {
            let backend = drawn(&mut screen(site()), (80, 24), 0, colour);
            let cells = backend.buffer().content().iter();
            let has = cells.clone().any(|cell| cell.fg != Color::Reset);
            (
                cells
                    .map(|cell| cell.symbol().to_owned())
                    .collect::<String>(),
                has,
            )
        };
        let (with, without) = (coloured(true), coloured(false));
        assert_eq!(with.0, without.0);
        assert!(with.1 && !without.1);
    }

    #[test]
    fn room_is_shared() {
        assert_eq!(shares([3, 3, 3, 3], 20), [3, 3, 3, 3]);
        assert_eq!(shares([2, 100, 100, 2], 20), [2, 8, 8, 2]);
        assert_eq!(shares([2, 100, 3, 21], 21), [2, 8, 3, 8]);
        assert_eq!(shares([9, 9, 9, 9], 3), [1, 1, 1, 0]);
        assert_eq!(shares([0, usize::MAX, 0, 0], 22), [0, 22, 0, 0]);
    }
}
