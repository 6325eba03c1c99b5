//! What a CloudFormation stack is, as data.

use super::super::tags;
use super::routes;
use crate::model::{Attribute, CloudId, Clouds, Deletion, Map, Property, Schema, Shape, TextRule, Value};

pub(in super::super) static SCHEMA: Schema = Schema {
    ty: "AWS::CloudFormation::Stack",
    doc: "A CloudFormation stack: a template with its parameters, changed through change sets.",
    properties: &[
        Property::new(
            "StackName",
            Shape::Text(
                TextRule::matching(
                    "^[a-zA-Z][-a-zA-Z0-9]*$",
                    "letters, digits and `-`, beginning with a letter",
                )
                .sized(1, 128),
            ),
            "The stack's name.",
        )
        .required()
        .immutable(),
        Property::new("TemplateBody", Shape::Object(TEMPLATE), "The template, as CloudFormation writes it.")
            .required()
            .cautioned(routes::left_behind),
        Property::new(
            "Parameters",
            Shape::Map(&Shape::Text(TextRule::ANY)),
            "The values of the template's parameters, by name.",
        ),
        Property::new(
            "Capabilities",
            Shape::Set(&Shape::Enum(&["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"])),
            "What the template may do besides: make identities, run macros.",
        )
        .unmanaged(),
        Property::new("Tags", tags::SHAPE, "Tags, which its resources take over."),
    ],
    attributes: &[
        Attribute::new("StackId", "The stack's ARN.").unique(),
        Attribute::new("Outputs", "The outputs of the template, by name: `Outputs.Url`."),
    ],
    name: None,
    identify: |properties, _| Some(CloudId(properties.get("StackName")?.as_text()?.to_owned())),
    predict: |_, _| Map::new(),
    check,
    marked: true,
    shared: false,
    compares: true,
    deletion: Deletion::Recreatable {
        loses: "the ids and addresses of everything in it, and what that holds, such as logs",
    },
};

const TEXT: Shape = Shape::Text(TextRule::ANY);
const ANY: Shape = Shape::Document;

/// The sections of a template. Differences are told at each resource and its properties.
static TEMPLATE: &[Property] = &[
    Property::new("AWSTemplateFormatVersion", TEXT, "`2010-09-09`."),
    Property::new("Description", TEXT, "What the stack is for."),
    Property::new("Metadata", ANY, "Notes for tools."),
    Property::new("Parameters", Shape::Map(&ANY), "What differs from one use to the next."),
    Property::new("Rules", Shape::Map(&ANY), "What parameters must fulfil."),
    Property::new("Mappings", Shape::Map(&ANY), "Tables of values."),
    Property::new("Conditions", Shape::Map(&ANY), "What is made only sometimes."),
    Property::new("Transform", ANY, "Macros."),
    Property::new("Resources", Shape::Map(&Shape::Object(RESOURCE)), "What is made.").required(),
    Property::new("Outputs", Shape::Map(&ANY), "What is told afterwards."),
];

static RESOURCE: &[Property] = &[
    Property::new("Type", TEXT, "The resource's type.").required(),
    Property::new("Properties", Shape::Map(&ANY), "As the type spells them."),
    Property::new("DependsOn", ANY, "What it waits for."),
    Property::new("Condition", TEXT, "When it is made."),
    Property::new("Metadata", ANY, "Notes for tools."),
    Property::new("CreationPolicy", ANY, "When its creation counts as done."),
    Property::new("UpdatePolicy", ANY, "How it is updated."),
    Property::new("DeletionPolicy", TEXT, "What happens to it when it leaves the stack."),
    Property::new("UpdateReplacePolicy", TEXT, "What happens to it when it is replaced."),
];

/// A template in a request has at most so many bytes.
const BYTES: usize = 51_200;
/// The most parameters that a template may have.
const PARAMETERS: usize = 200;

fn check(properties: &Map, _: &Clouds) -> Vec<String> {
    let mut wrong = tags::check(properties.get("Tags"));
    let Some(template) = properties.get("TemplateBody") else { return wrong };
    let bytes = template.to_json().to_string().len();
    // What is not known yet is counted as it is written, which is about as long.
    let most = if template.is_known() { BYTES } else { BYTES + BYTES / 10 };
    if bytes > most {
        wrong.push(format!(
            "`TemplateBody` has {bytes} bytes; CloudFormation takes {BYTES}: split the stack, or put some of its functions into \
             a stack of their own"
        ));
    }
    let declared = template.at(&["Parameters"]).and_then(Value::as_map);
    let given = properties.get("Parameters").and_then(Value::as_map);
    if declared.is_some_and(|declared| declared.len() > PARAMETERS) {
        wrong.push(format!(
            "`TemplateBody` has more than {PARAMETERS} parameters, which CloudFormation refuses"
        ));
    }
    let known = |name: &String| declared.is_some_and(|declared| declared.contains_key(name));
    for name in given.into_iter().flat_map(Map::keys).filter(|name| !known(name)) {
        wrong.push(format!("`Parameters` sets {name}, which the template does not declare"));
    }
    for name in secret_parameters(template) {
        if matches!(given.and_then(|given| given.get(name)), Some(Value::Text(_))) {
            wrong.push(format!(
                "`Parameters` sets {name} in clear, and the template says `NoEcho`: give it by a variable that is `sensitive`"
            ));
        }
    }
    for (name, parameter) in declared.into_iter().flatten() {
        let set = given.is_some_and(|given| given.contains_key(name));
        if !set && parameter.at(&["Default"]).is_none() {
            wrong.push(format!("`Parameters` lacks {name}, which the template declares without a default"));
        }
    }
    wrong
}

/// The parameters whose values CloudFormation never shows.
pub(super) fn secret_parameters(template: &Value) -> Vec<&str> {
    let parameters = template.at(&["Parameters"]).and_then(Value::as_map);
    parameters
        .into_iter()
        .flatten()
        .filter(|(_, parameter)| {
            // As a template writes it: `true` or `"true"`.
            parameter.at(&["NoEcho"]).is_some_and(|flag| flag.to_text().eq_ignore_ascii_case("true"))
        })
        .map(|(name, _)| name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(template: &serde_json::Value, parameters: &serde_json::Value) -> Vec<String> {
        let properties =
            serde_json::json!({ "StackName": "a", "TemplateBody": template, "Parameters": parameters });
        let properties = Value::from_json(properties).as_map().cloned().unwrap();
        (SCHEMA.check)(&properties, &Clouds::default())
    }

    #[test]
    fn parameters_and_their_declarations_must_fit() {
        let template = serde_json::json!({
            "Parameters": { "A": { "Type": "String" }, "B": { "Type": "String", "Default": "x" } },
            "Resources": {},
        });
        assert_eq!(wrong(&template, &serde_json::json!({ "A": "1" })), Vec::<String>::new());
        assert_eq!(
            wrong(&template, &serde_json::json!({ "C": "1" })),
            [
                "`Parameters` sets C, which the template does not declare",
                "`Parameters` lacks A, which the template declares without a default",
            ]
        );
    }

    #[test]
    fn a_template_that_is_too_long_is_told_before_all_of_it_is_known() {
        let template = |groups: usize| {
            let address = crate::model::Address::resource("role");
            let role = Value::Unknown(crate::model::Template::reference(address, &["Arn"]));
            let one =
                Value::Map([("Type".to_owned(), "x".repeat(1000).into()), ("Role".to_owned(), role)].into());
            let resources = (0..groups).map(|at| (format!("R{at}"), one.clone())).collect();
            let template = Value::Map([("Resources".to_owned(), Value::Map(resources))].into());
            (SCHEMA.check)(&[("TemplateBody".to_owned(), template)].into(), &Clouds::default())
        };
        assert_eq!(template(45), Vec::<String>::new());
        let told = template(60);
        assert!(told.len() == 1 && told[0].contains("CloudFormation takes 51200"), "{told:?}");
    }

    #[test]
    fn hidden_parameters_are_known() {
        let template = Value::from_json(serde_json::json!({ "Parameters": {
            "A": { "NoEcho": true }, "B": { "NoEcho": "true" }, "C": { "NoEcho": false }, "D": {},
        } }));
        assert_eq!(secret_parameters(&template), ["A", "B"]);
    }
}
