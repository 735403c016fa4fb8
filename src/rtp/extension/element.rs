//! Extension elements as they lie in the header.

use std::ops::Range;

/// The id of an extension element: 1 to 255, of which 1 to 14 fit the one-byte form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtensionId(u8);

impl ExtensionId {
    /// The id `value`, unless it is 0, which stands for padding (RFC 8285 §4.2).
    pub const fn new(value: u8) -> Option<Self> {
        if value == 0 { None } else { Some(ExtensionId(value)) }
    }

    /// The number, 1 to 255.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Whether an element with this id can be in the one-byte form; 15 cannot, RFC 8285 §4.2.
    pub const fn fits_one_byte(self) -> bool {
        self.0 <= 14
    }
}

/// The form that all elements of one packet have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExtensionForm {
    /// RFC 8285 §4.2: ids 1 to 14, 1 to 16 bytes of data.
    OneByte,
    /// RFC 8285 §4.3: ids 1 to 255, 0 to 255 bytes of data.
    TwoByte,
}

impl ExtensionForm {
    pub(in crate::rtp) const fn from_profile(profile: u16) -> Option<Self> {
        match profile {
            0xbede => Some(ExtensionForm::OneByte),
            // RFC 8285 §4.3: the low four bits are "appbits", to be ignored.
            0x1000..=0x100f => Some(ExtensionForm::TwoByte),
            _ => None,
        }
    }

    pub(in crate::rtp) const fn profile(self) -> u16 {
        match self {
            ExtensionForm::OneByte => 0xbede,
            ExtensionForm::TwoByte => 0x1000,
        }
    }

    pub(in crate::rtp) const fn element_header_len(self) -> usize {
        match self {
            ExtensionForm::OneByte => 1,
            ExtensionForm::TwoByte => 2,
        }
    }
}

/// One extension element of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Which extension it is, as negotiated.
    pub id: ExtensionId,
    /// Its data, at most 255 bytes.
    pub data: &'a [u8],
}

/// The extension elements of a packet, in order, padding left out.
///
/// Ends early where RFC 8285 says so: at id 15 and at id 0 with a length in the one-byte form, and at an
/// element that claims more bytes than there are.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    form: ExtensionForm,
    body: &'a [u8],
    at: usize,
}

impl<'a> Extensions<'a> {
    pub(in crate::rtp) fn new(form: ExtensionForm, body: &'a [u8]) -> Self {
        Extensions { form, body, at: 0 }
    }

    /// The form of the elements.
    pub fn form(&self) -> ExtensionForm {
        self.form
    }

    pub(in crate::rtp) fn elements(mut self) -> impl Iterator<Item = Element> + use<'a> {
        std::iter::from_fn(move || self.next_element())
    }

    fn next_element(&mut self) -> Option<Element> {
        let element = Element::next(self.form, self.body, self.at);
        self.at = element.as_ref().map_or(self.body.len(), |element| element.data.end);
        element
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        let element = self.next_element()?;
        Some(Extension { id: element.id, data: self.body.get(element.data)? })
    }
}

/// Where an element lies in the extension body.
#[derive(Debug, Clone)]
pub(in crate::rtp) struct Element {
    pub(in crate::rtp) start: usize,
    pub(in crate::rtp) id: ExtensionId,
    pub(in crate::rtp) data: Range<usize>,
}

impl Element {
    /// The first element at or behind offset `at`.
    pub(in crate::rtp) fn next(form: ExtensionForm, body: &[u8], mut at: usize) -> Option<Self> {
        loop {
            let &first = body.get(at)?;
            // RFC 8285 §4.2, §4.3: padding is a single zero byte in both forms.
            if first == 0 {
                at += 1;
                continue;
            }
            let (id, len, data) = match form {
                ExtensionForm::OneByte => (first >> 4, usize::from(first & 0x0f) + 1, at + 1),
                ExtensionForm::TwoByte => (first, usize::from(*body.get(at + 1)?), at + 2),
            };
            // RFC 8285 §4.2: in the one-byte form, an id of 0 with a length ends the elements, as does 15.
            let id = ExtensionId::new(id)?;
            if form == ExtensionForm::OneByte && !id.fits_one_byte() {
                return None;
            }
            let end = data + len;
            return (end <= body.len()).then_some(Element { start: at, id, data: data..end });
        }
    }
}
