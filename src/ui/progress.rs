//! What a run is doing, while it does it: bars on a terminal, plain lines elsewhere, JSON for programs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::error::cause;
use super::summary::{doing, done, seconds, undoing};
use super::{Style, json, print, text};
use crate::model::{Event, Op, Phase, StepId};

/// Draws the events of one run. Everything but JSON goes to stderr.
pub struct Progress {
    how: How,
    style: Style,
}

enum How {
    Bars(Mutex<Bars>),
    Lines,
    Json,
}

/// One line for each running step, and one over all.
struct Bars {
    all: MultiProgress,
    overall: ProgressBar,
    running: HashMap<StepId, ProgressBar>,
}

impl Progress {
    /// For people: bars if stderr is a terminal that can draw them, else lines.
    pub fn for_people(terminal: bool, style: Style) -> Self {
        let how = if terminal { How::Bars(Mutex::new(Bars::new())) } else { How::Lines };
        Self { how, style }
    }

    /// For programs: one JSON object a line, on stdout.
    pub fn for_programs() -> Self {
        Self { how: How::Json, style: Style::PLAIN }
    }

    /// Shows what just happened.
    pub fn show(&self, event: &Event) {
        match &self.how {
            How::Json => print::result(&json::event(event).to_string()),
            How::Lines => {
                if let Some(line) = line(event, self.style) {
                    print::notice(&line);
                }
            }
            How::Bars(bars) => lock(bars).show(event, self.style),
        }
    }

    /// Shows a line of what a cloud says.
    pub fn note(&self, line: &str) {
        match &self.how {
            How::Json => print::result(&json::message(line).to_string()),
            How::Lines => print::notice(&self.style.dim(&text::line(line))),
            How::Bars(bars) => drop(lock(bars).all.println(self.style.dim(&text::line(line)))),
        }
    }

    /// Says something between the lines of a run.
    pub fn say(&self, message: &str) {
        match &self.how {
            How::Json => {}
            How::Lines => print::notice(message),
            // Where nothing is drawn, nothing needs to be told either.
            How::Bars(bars) => drop(lock(bars).all.println(message)),
        }
    }

    /// Takes the bars away.
    pub fn close(&self) {
        match &self.how {
            How::Json | How::Lines => {}
            How::Bars(bars) => {
                let mut bars = lock(bars);
                for (_, bar) in bars.running.drain() {
                    bar.finish_and_clear();
                }
                bars.overall.finish_and_clear();
            }
        }
    }
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let overall = all.add(ProgressBar::new(0));
        overall.set_style(template("  {bar:30} {pos}/{len} {msg} ({elapsed})"));
        Self { all, overall, running: HashMap::new() }
    }

    fn show(&mut self, event: &Event, style: Style) {
        match event {
            Event::Began { steps, phase } => {
                self.overall.set_length(*steps as u64);
                self.overall.set_position(0);
                self.overall.set_message(match phase {
                    Phase::Apply => "steps",
                    Phase::Undo => "undone",
                });
                self.overall.enable_steady_tick(Duration::from_millis(250));
            }
            Event::Started { step, address, op, phase } => {
                let bar = self.all.insert_before(&self.overall, ProgressBar::new_spinner());
                bar.set_style(template("  {spinner} {msg} ({elapsed})"));
                bar.set_message(format!("{address}: {}", present(*op, *phase)));
                bar.enable_steady_tick(Duration::from_millis(120));
                self.running.insert(*step, bar);
            }
            Event::Waiting { step, address, error } => {
                if let Some(bar) = self.running.get(step) {
                    bar.set_message(format!("{address}: waiting, {}", cause(error)));
                }
            }
            Event::Finished { step, .. } | Event::Failed { step, .. } | Event::Kept { step, .. } => {
                if let Some(bar) = self.running.remove(step) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
                if !matches!(event, Event::Kept { .. }) {
                    self.overall.inc(1);
                }
                if let Some(line) = line(event, style) {
                    drop(self.all.println(line));
                }
            }
        }
    }
}

/// An event as a line; beginnings of runs have none.
fn line(event: &Event, style: Style) -> Option<String> {
    Some(match event {
        Event::Began { steps, phase: Phase::Undo } => {
            style.bold(&format!("Undoing {steps} step{}:", if *steps == 1 { "" } else { "s" }))
        }
        Event::Began { phase: Phase::Apply, .. } => return None,
        Event::Started { address, op, phase, .. } => format!("{address}: {} ...", present(*op, *phase)),
        Event::Waiting { address, error, .. } => {
            format!("{address}: waiting, {} ({})", cause(error), text::line(&error.code))
        }
        Event::Finished { address, op, phase, took, .. } => {
            style.green(&format!("{address}: {} in {}", past(*op, *phase), seconds(*took)))
        }
        Event::Failed { address, op, phase, error, .. } => {
            let code =
                if error.code.is_empty() { String::new() } else { format!(" ({})", text::line(&error.code)) };
            style.red(&format!("{address}: {} failed: {}{code}", present(*op, *phase), cause(error)))
        }
        Event::Kept { address, why, .. } => {
            style.yellow(&format!("{address}: left in place: {}", text::line(why)))
        }
    })
}

fn present(op: Op, phase: Phase) -> String {
    match phase {
        Phase::Apply => doing(op).to_owned(),
        Phase::Undo => undoing(op),
    }
}

fn past(op: Op, phase: Phase) -> String {
    match phase {
        Phase::Apply => done(op).to_owned(),
        Phase::Undo => format!("{} undone", super::plan::describe(op)),
    }
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A thread that panicked while drawing leaves nothing worse than a crooked bar.
fn lock(bars: &Mutex<Bars>) -> MutexGuard<'_, Bars> {
    bars.lock().unwrap_or_else(PoisonError::into_inner)
}
