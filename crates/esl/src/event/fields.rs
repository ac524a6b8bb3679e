//! Several headers of an event in one walk.

use std::borrow::Cow;

use memchr::memchr;

use super::{Event, text, trim};

/// The names that a reader wants of every event. Made once, at compile time if need be:
///
/// ```
/// use callhop_esl::{Event, FieldSet};
///
/// const WANTED: FieldSet<2> = FieldSet::new(["Event-Name", "Unique-ID"]);
/// let event = Event::new("Event-Name: CODEC\nUnique-ID: 7\nOther: x\n\n");
/// let fields = WANTED.scan(&event);
/// assert_eq!(fields.get(0).as_deref(), Some("CODEC"));
/// assert_eq!(fields.get(1).as_deref(), Some("7"));
/// ```
#[derive(Debug, Clone)]
pub struct FieldSet<const N: usize> {
    names: [&'static str; N],
    /// For each octet: which names begin with it, one bit for each.
    by_first: [u32; 256],
}

impl<const N: usize> FieldSet<N> {
    const FITS: () = assert!(N <= 32, "a field set has at most 32 names");

    /// A set of at most 32 names; more don't compile. No name may be empty.
    pub const fn new(names: [&'static str; N]) -> Self {
        let () = Self::FITS;
        let mut by_first = [0; 256];
        let mut i = 0;
        while i < N {
            by_first[names[i].as_bytes()[0] as usize] |= 1 << i;
            i += 1;
        }
        Self { names, by_first }
    }

    /// The names, in the order of the values.
    pub fn names(&self) -> &[&'static str; N] {
        &self.names
    }

    /// Finds them all: one walk that ends with the last of them, nothing allocated, nothing decoded.
    pub fn scan<'e>(&self, event: &'e Event) -> Fields<'e, N> {
        let mut values = [None; N];
        let mut missing = N;
        let mut rest: &[u8] = event.payload();
        while missing > 0
            && let Some(first) = rest.first()
        {
            let Some(end) = memchr(b'\n', rest) else {
                self.take(rest, *first, &mut values, &mut missing);
                break;
            };
            if end == 0 {
                break;
            }
            self.take(&rest[..end], *first, &mut values, &mut missing);
            rest = &rest[end + 1..];
        }
        Fields { values }
    }

    #[inline]
    fn take<'e>(
        &self,
        line: &'e [u8],
        first: u8,
        values: &mut [Option<&'e [u8]>; N],
        missing: &mut usize,
    ) {
        let mut candidates = self.by_first[first as usize];
        while candidates != 0 {
            let i = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let name = self.names[i].as_bytes();
            if line.get(name.len()) == Some(&b':') && values[i].is_none() && line.starts_with(name)
            {
                values[i] = Some(trim(&line[name.len() + 1..]));
                *missing -= 1;
            }
        }
    }
}

/// The values that a [`FieldSet`] found, as slices of the event.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'e, const N: usize> {
    values: [Option<&'e [u8]>; N],
}

impl<'e, const N: usize> Fields<'e, N> {
    /// The value of the `index`-th name, decoded; empty where the switch wrote `_undef_`. `None` if the event has no such
    /// header (or the set no such index).
    pub fn get(&self, index: usize) -> Option<Cow<'e, str>> {
        self.raw(index).map(text)
    }

    /// The same as it is written.
    pub fn raw(&self, index: usize) -> Option<&'e [u8]> {
        self.values.get(index).copied().flatten()
    }
}
