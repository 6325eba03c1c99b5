//! # analyze-image
//!
//! Run by S3 when a picture was stored: reads it, judges it by its content, has Computer Vision look at it, and
//! writes what it saw, or why it cannot, as a document that get-analysis answers with.
//!
//! - [`inspect`]: whether the bytes are a picture that the service takes.
//! - [`vision`]: the service.
//! - [`analyzer`]: the road from the event to the document.
//!
//! S3 tells of an object at least once, and perhaps out of order. The document's id is the picture's, and it
//! remembers the object's etag and sequencer; it is written under the precondition that it is still what was
//! read. So a repeated event finds its work done, and an old one does not undo a newer one's.
//!
//! Before the vision service is asked, which counts every picture, the document is claimed: it says that this invocation
//! looks at this picture, and until when. Of any number of events at once one gets it, and the others end. A claim whose
//! invocation died is taken over by Lambda's repeat of it, or by anybody once it has lapsed. Of pictures that are uploaded
//! under one name the first three are looked at, each at most three times.
//!
//! What is the picture's fault is written down for the visitor and is a success: nobody tries again. So is that the vision
//! service does not let us in, which no repeat mends; the log tells it as an error. Everything else is an error of the
//! invocation, and Lambda tries again, twice. That the vision service gave nothing is written down, too, for when both are
//! in vain; a later try writes over it.
//!
//! The event `{"probe": true}` is answered with `{"ok": true}`, if all that this takes can be used; nothing is written.

pub mod analyzer;
pub mod inspect;
pub mod vision;

pub use analyzer::{AnalyzeError, Analyzer, Turn};
