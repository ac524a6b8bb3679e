use std::path::Path;

use super::*;
use crate::config::{Environment, read};

/// As `number: device device`, one extension a line.
fn people(domain: &str, lines: &str) -> Vec<Extension> {
    lines
        .lines()
        .filter_map(|line| line.trim().split_once(':'))
        .map(|(number, devices)| Extension {
            id: format!("{number}@{domain}").parse().unwrap(),
            devices: devices
                .split_whitespace()
                .map(|device| device.parse().unwrap())
                .collect(),
            route: None,
        })
        .collect()
}

fn guide(config: &str, domain: &str, extensions: &[Extension]) -> Guide {
    let config = read(config, Path::new(""), &Environment::new()).unwrap();
    let domain = domain.parse().unwrap();
    Guide::new(Some(&domain), &config.policy(&domain), extensions)
}

#[test]
fn a_whole_guide_as_text() {
    let extensions = people("lab.test", "2000: 2001\n1000: 1001 1002 1003");
    assert_eq!(
        guide("", "lab.test", &extensions).text(),
        include_str!("tests/lab.txt")
    );
}

#[test]
fn a_domain_has_its_own_codes_and_rules() {
    let config = "[[freeswitch]]\noutside = 'sofia/gateway/t/{number}'\n[domains.'a.test']\ncolleagues = false\nunregistered = 'ring_all'\n[domains.'a.test'.features]\n\
                  pull = '*70'\npush = '##'\n[domains.'a.test'.push]\nallow = ['0.*']\nring_timeout_s = 20\n\
                  hold_sound = 'local_stream://moh'\nfallback = '4000'\n";
    let mut extensions = people("a.test", "10: 11 12");
    extensions.extend(people("b.test", "666: 667 668"));
    // Where a line ends is not asked here.
    let words = |guide: Guide| {
        let text = guide.text();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let own = words(guide(config, "a.test", &extensions));
    for part in [
        "*70 The call on your other device",
        "*7012 The same",
        "## You hear a beep",
        "hears the hold sound",
        "up to 20 seconds",
        "those that your administrator has allowed",
        "the call goes to the number for such calls",
        "switched off, all your devices ring",
        "devices ---------------------------- 10 11, 12",
    ] {
        assert!(own.contains(part), "{part}: {own}");
    }
    for part in ["*33", "colleague", "666", "b.test"] {
        assert!(!own.contains(part), "{part}: {own}");
    }
    let other = words(guide(config, "b.test", &extensions));
    for part in [
        "*33668",
        "Wherever your colleague",
        "Numbers outside cannot be dialled here.",
    ] {
        assert!(other.contains(part), "{part}: {other}");
    }
}

#[test]
fn a_site_without_extensions_yet_gets_invented_ones() {
    let text = Guide::new(None, &Policy::default(), &[]).text();
    assert!(text.starts_with("Calls between your devices\n====="));
    assert!(text.contains("*331002") && text.contains("2000#"), "{text}");
    assert!(!text.contains("Extensions and their devices"), "{text}");
}

#[test]
fn many_extensions_are_told_by_their_range() {
    let lines: Vec<String> = (100..400)
        .map(|n| format!("{}: {} {}\n", n * 10, n * 10 + 1, n * 10 + 2))
        .collect();
    let mut extensions = people("lab.test", &lines.concat());
    extensions.extend(people("lab.test", "7: 70001\nfront-desk: 9001"));
    let guide = guide("", "lab.test", &extensions);
    let text = guide.text();
    let expect = "  Extensions  1 of 1 digit, 7; 300 of 4 digits, 1000 to 3990; 1 with letters or\n              signs, such as front-desk";
    assert!(text.contains(expect), "{text}");
    assert!(
        text.contains("601 of 4 digits, 1001 to 9001; 1 of 5 digits, 70001"),
        "{text}"
    );
    assert!(text.lines().count() < 66, "{text}");
}

#[test]
fn the_page_says_what_the_text_says() {
    let extensions = people("lab.test", "1000: 1001 1002 1003\n2000: 2001");
    let guide = guide("", "lab.test", &extensions);
    let page = guide.html();
    for section in &guide.sections {
        for (key, meaning) in &section.rows {
            assert!(page.contains(&escaped(key)), "{key}");
            assert!(page.contains(&escaped(meaning)), "{meaning}");
        }
        for note in &section.notes {
            assert!(page.contains(&escaped(note)), "{note}");
        }
    }
    assert!(page.contains("<dt><kbd>*331002</kbd></dt>"), "{page}");
    // Nothing is fetched, nothing runs.
    for word in ["http", "src=", "href=", "url(", "<script", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
    // Nor is an element left open.
    let page = page
        .replace("<!DOCTYPE html>\n", "")
        .replace("<meta charset=\"utf-8\">", "")
        .replace("initial-scale=1\">", "initial-scale=1\"/>");
    let elements = roxmltree::Document::parse(&page);
    assert!(elements.is_ok(), "{elements:?}");
}

#[test]
fn what_is_not_ours_is_escaped() {
    let hostile = "<script>\"&'";
    let page = Guide {
        title: hostile.to_owned(),
        intro: hostile.to_owned(),
        sections: vec![Section {
            title: "A",
            look: Look::Keys,
            rows: vec![row(hostile, hostile)],
            notes: vec![hostile.to_owned()],
        }],
    }
    .html();
    assert!(!page.contains("<script>"), "{page}");
    assert_eq!(
        page.matches("&lt;script&gt;&quot;&amp;&#39;").count(),
        6,
        "{page}"
    );
}

#[test]
fn lines_are_not_wider_than_a_terminal() {
    let number = "1".repeat(20);
    let domain = format!("{}.test", "a".repeat(60));
    let devices: Vec<String> = (0..30).map(|n| format!("{n:020}")).collect();
    let extensions = people(&domain, &format!("{number}: {}", devices.join(" ")));
    let text = guide("", &domain, &extensions).text();
    for line in text.lines().skip(2) {
        assert!(width(line) <= COLUMNS, "{line}");
    }
    assert!(text.contains("and 24 more"), "{text}");
}
