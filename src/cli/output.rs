//! `mcm output`: the outputs, read live.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Exit;
use super::failure::{Ending, Failure};
use super::options::Variables;
use super::survey::survey;
use super::workspace::{Workspace, closest};
use super::{Context, reach, signals};
use crate::model::{Diagnostic, Mode, Value};
use crate::{engine, store, ui};

/// Print the outputs, read live
#[derive(Args, Debug)]
pub(super) struct Output {
    /// The stack's folder or file [default: stack.yaml here], then an output's name; a lone word that is neither a
    /// file nor a stack's folder is a name
    #[arg(value_name = "STACK] [NAME", num_args = 0..=2)]
    words: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    variables: Variables,
}

/// Whether a word is a stack rather than an output's name, which a folder beside the stack may bear, too.
fn is_stack(word: &Path) -> bool {
    word.is_file() || word.is_dir() && (word.components().count() > 1 || word.join("stack.yaml").exists())
}

impl Output {
    pub(super) fn run(self, context: &Context) -> Ending {
        let (stack, name) = self.split();
        signals::run_readonly(async {
            let workspace = Workspace::find(stack.as_deref(), context.sandbox)?;
            let loaded = workspace.load(self.variables.given(), context)?;
            if let Some(name) = &name {
                let names: Vec<&str> =
                    loaded.stack.outputs.iter().map(|output| output.name.as_str()).collect();
                require(name, &names)?;
            }
            let known = store::load(&*loaded.place(&workspace)?.medium(), Some(&loaded.stack.name)).await?;
            let reach = reach::open(&workspace, &loaded.stack).await?;
            let inventory =
                survey(&loaded, &known.state, &known.journal, Mode::RefreshOnly, &reach.router).await?;
            reach.close().await;
            let outputs = engine::outputs(&loaded.stack, &inventory);
            match name {
                Some(name) => self.one(&name, &outputs),
                None => Ok(self.all(&outputs)),
            }
        })
    }

    fn split(&self) -> (Option<PathBuf>, Option<String>) {
        match self.words.as_slice() {
            [] => (None, None),
            [stack] if is_stack(Path::new(stack)) => (Some(stack.into()), None),
            [name] => (None, Some(name.clone())),
            [stack, name, ..] => (Some(stack.into()), Some(name.clone())),
        }
    }

    fn all(&self, outputs: &[(String, Value, bool)]) -> Exit {
        if self.json {
            ui::print::result(&format!("{:#}", ui::outputs::list_json(outputs)));
        } else if outputs.is_empty() {
            ui::print::notice("The stack has no outputs.");
        } else {
            ui::print::result(&ui::outputs::list(outputs));
        }
        Exit::Done
    }

    /// Asked for by name: shown in clear.
    fn one(&self, name: &str, outputs: &[(String, Value, bool)]) -> Ending {
        let Some((_, value, _)) = outputs.iter().find(|(output, _, _)| output == name) else {
            return Err(Failure::invalid(format!("the stack has no output `{}`", ui::text::line(name))));
        };
        if !value.is_known() {
            let diagnostic = Diagnostic::error(format!("the output `{name}` is not known yet"))
                .detail("what it is taken from does not exist")
                .hint("run `mcm apply` first");
            return Err(Failure::new(Exit::Failed, diagnostic));
        }
        ui::print::result(&if self.json {
            format!("{:#}", ui::outputs::clear(value))
        } else {
            ui::outputs::one(value)
        });
        Ok(Exit::Done)
    }
}

/// A name that no output has is told before any cloud is asked.
fn require(name: &str, names: &[&str]) -> Result<(), Failure> {
    if names.contains(&name) {
        return Ok(());
    }
    let diagnostic = Diagnostic::error(format!("the stack has no output `{}`", ui::text::line(name)));
    let diagnostic = match (closest(name, names.iter().copied()), names) {
        (Some(near), _) => diagnostic.hint(format!("did you mean `{near}`?")),
        (None, []) => diagnostic.hint("its file has no `outputs:`"),
        (None, names) => diagnostic.hint(format!("it has {}", names.join(", "))),
    };
    Err(Failure::new(Exit::Invalid, diagnostic))
}
