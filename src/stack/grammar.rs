//! The fixed parts of the stack file, as data: the parser and the JSON Schema both read these tables.

use crate::model::{Architecture, Property, Shape, TextRule};

/// The rule of a stack's name.
pub(super) const STACK_NAME: TextRule =
    TextRule::matching("^[a-z][a-z0-9-]*$", "lower-case letters, digits and `-`, beginning with a letter")
        .sized(1, 63);

/// The rule of a logical name: of an entry of `resources`, `trust` or `outputs`.
pub(super) const NAME: TextRule =
    TextRule::matching("^[a-z][a-z0-9-]*$", "lower-case letters, digits and `-`, beginning with a letter")
        .sized(1, 63);

/// The rule of the name of what a part offers, which may be spelt as a vendor does.
pub(super) const OFFER_NAME: TextRule =
    TextRule::matching("^[A-Za-z][A-Za-z0-9_-]*$", "letters, digits, `_` and `-`, beginning with a letter")
        .sized(1, 63);

/// The rule of a variable's or a parameter's name.
pub(super) const VARIABLE_NAME: TextRule =
    TextRule::matching("^[A-Za-z][A-Za-z0-9_]*$", "letters, digits and `_`, beginning with a letter")
        .sized(1, 63);

/// Words that mean something else in `${…}` and so cannot name a resource.
pub(super) const RESERVED: [&str; 4] = ["var", "env", "stack", "param"];

const TEXT: Shape = Shape::Text(TextRule::ANY);

/// The whole file.
pub(super) static FILE: [Property; 9] = [
    Property::new(
        "stack",
        Shape::Text(STACK_NAME),
        "The stack's name: part of every default name and of every ownership mark. With a variable in it, each copy of \
         the stack is one of its own.",
    )
    .required(),
    Property::new("description", TEXT, "What the stack is for."),
    Property::new(
        "variables",
        Shape::Document,
        "What differs from one use of the stack to the next: name -> declaration.",
    ),
    Property::new("clouds", Shape::Document, "Where resources go, and a guard: no other account is touched."),
    Property::new(
        "backend",
        Shape::Document,
        "Where the state lies, if not in `.mcm` beside the stack file: `s3://bucket/prefix`, `gs://bucket/prefix` or \
         `az://account/container/prefix`. Its conditional writes are the lock.",
    ),
    Property::new("resources", Shape::Document, "The resources: logical name -> resource."),
    Property::new(
        "trust",
        Shape::Document,
        "Keyless access from one identity to another, across clouds: name -> edge.",
    ),
    Property::new(
        "functions",
        Shape::Document,
        "Rust functions for AWS Lambda, deployed by CloudFormation after what they need: name -> function.",
    ),
    Property::new("outputs", Shape::Document, "What is shown after an apply: name -> value."),
];

/// The long form of `backend`.
pub(super) static BACKEND: [Property; 3] = [
    Property::new("url", TEXT, "The address, as in the short form.").required(),
    Property::new("region", TEXT, "The region of an S3 bucket, where it is not the stack's."),
    ENDPOINT,
];

/// A reusable part.
pub(super) static PART: [Property; 4] = [
    Property::new("description", TEXT, "What the part is for."),
    Property::new("parameters", Shape::Document, "What its users give it: name -> declaration."),
    Property::new("resources", Shape::Document, "Its resources."),
    Property::new("outputs", Shape::Document, "What its users may refer to: name -> value."),
];

/// The types of variables and parameters.
pub(super) const TYPES: [&str; 5] = ["string", "number", "boolean", "list", "map"];

/// The declaration of a variable or parameter.
pub(super) static DECLARATION: [Property; 5] = [
    Property::new("type", Shape::Enum(&TYPES), "Its type."),
    Property::new("default", Shape::Document, "Its value where none is given."),
    Property::new("pattern", TEXT, "A regular expression that the whole text must match."),
    Property::new("sensitive", Shape::Bool, "Never shown, never stored in clear."),
    Property::new("description", TEXT, "What it is for."),
];

/// A resource with a type of its own.
pub(super) static RESOURCE: [Property; 6] = [
    Property::new("type", TEXT, "The vendor's type name.").required(),
    Property::new("properties", Shape::Document, "As the vendor spells them."),
    Property::new(
        "dependsOn",
        Shape::Document,
        "Names of resources to wait for, where no reference says it.",
    ),
    Property::new("protect", Shape::Bool, "Refuse to delete or replace it."),
    Property::new("adopt", Shape::Bool, "Take over a live object that this stack does not own."),
    Property::new(
        "onDelete",
        Shape::Enum(&["delete", "retain"]),
        "What happens to it when the stack lets go of it.",
    ),
];

/// An entry of `resources` that includes a reusable part.
pub(super) static USE: [Property; 5] = [
    Property::new("use", TEXT, "The part's file, from the project's folder: `templates/….yaml`.").required(),
    Property::new("with", Shape::Document, "The part's parameters."),
    Property::new(
        "dependsOn",
        Shape::Document,
        "Names of resources to wait for, where no reference says it.",
    ),
    Property::new("protect", Shape::Bool, "Refuse to delete or replace any of it."),
    Property::new(
        "onDelete",
        Shape::Enum(&["delete", "retain"]),
        "What happens to all of it when the stack lets go of it.",
    ),
];

/// A trust edge; other keys are options of its kind.
pub(super) static TRUST: [Property; 3] = [
    Property::new("from", TEXT, "The identity that is trusted: `${name}` of a resource.").required(),
    Property::new("to", TEXT, "The identity that it may become: `${name}` of a resource.").required(),
    Property::new(
        "dependsOn",
        Shape::Document,
        "Names of resources that all parts of the trust wait for, where no reference says it.",
    ),
];

/// A function.
pub(super) static FUNCTION: [Property; 13] = [
    Property::new(
        "package",
        Shape::Text(TextRule::ANY.sized(1, 1024)),
        "The folder of its Rust package, beside the stack file: `lambdas/analyze-image`.",
    )
    .required(),
    Property::new("role", TEXT, "The role that it runs as: `${name}` of an `AWS::IAM::Role`.").required(),
    Property::new("memory", Shape::Integer { min: 128, max: 10_240 }, "In MiB; the processor grows with it."),
    Property::new("timeout", Shape::Integer { min: 1, max: 900 }, "How many seconds one call may take."),
    Property::new("architecture", Shape::Enum(&Architecture::WORDS), "The processor; `x86_64` by default."),
    Property::new(
        "environment",
        Shape::Map(&TEXT),
        "Environment variables; values can refer to other resources, but not to secrets.",
    ),
    Property::new(
        "secrets",
        Shape::Map(&TEXT),
        "Environment variables whose values are secret: CloudFormation gets them as `NoEcho` parameters.",
    ),
    Property::new(
        "files",
        Shape::Map(&Shape::Document),
        "Files beside the program in the archive, by plain name; a map becomes JSON.",
    ),
    Property::new("events", Shape::List(&Shape::Object(&EVENT)), "What calls it."),
    Property::new(
        "smoke",
        Shape::Object(&SMOKE),
        "What a new version must answer before anyone else calls it; one that does not is taken back, with all of the run.",
    ),
    Property::new(
        "logRetention",
        Shape::Integer { min: 1, max: 3653 },
        "How many days its log is kept, such as 7, 30 or 365; 30 by default.",
    ),
    Property::new("description", Shape::Text(TextRule::up_to(256)), "What it is for."),
    Property::new(
        "dependsOn",
        Shape::Document,
        "Names of resources that the functions wait for, where no reference says it.",
    ),
];

static SMOKE: [Property; 3] = [
    Property::new("event", Shape::Document, "What the version is called with.").required(),
    Property::new(
        "expect",
        Shape::Document,
        "What its answer must contain; without it, an answer that is no error.",
    ),
    Property::new(
        "within",
        Shape::Integer { min: 1, max: 1800 },
        "For so many seconds a version that fails is called again: where what it needs takes a while to be in force.",
    ),
];

/// One thing that calls a function.
static EVENT: [Property; 2] = [
    Property::new("s3", Shape::Object(&S3_EVENT), "Something happens to the objects of a bucket."),
    Property::new("http", Shape::Object(&HTTP_EVENT), "A request to the stack's HTTP API."),
];

static S3_EVENT: [Property; 4] = [
    Property::new("bucket", TEXT, "The bucket: `${name}` of an `AWS::S3::Bucket`.").required(),
    Property::new(
        "events",
        Shape::List(&Shape::Text(TextRule::matching(
            r"^s3:[A-Za-z]+(:[A-Za-z*]+)?$",
            "an event as S3 names it, such as `s3:ObjectCreated:*`",
        ))),
        "Which, as S3 names them: `s3:ObjectCreated:*`.",
    )
    .required(),
    Property::new("prefix", Shape::Text(TextRule::up_to(1024)), "Only of objects whose names begin so."),
    Property::new("suffix", Shape::Text(TextRule::up_to(1024)), "Only of objects whose names end so."),
];

static HTTP_EVENT: [Property; 3] = [
    Property::new(
        "route",
        Shape::Text(TextRule::matching(
            r"^((ANY|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /[^ ]*|\$default)$",
            "a method and a path, such as `GET /analysis/{id}`, or `$default`",
        )),
        "Method and path: `GET /analysis/{id}`.",
    )
    .required(),
    Property::new(
        "cors",
        Shape::List(&TEXT),
        "The origins whose pages may call the API, such as `${site.WebsiteURL}`. They hold for the whole API.",
    ),
    Property::new(
        "rate",
        Shape::Integer { min: 1, max: 10_000 },
        "How many requests a second the route takes, on average; for a moment twice as many. The rest is answered 429.",
    ),
];

/// An output in its long form.
pub(super) static OUTPUT: [Property; 3] = [
    Property::new("value", Shape::Document, "What it shows.").required(),
    Property::new("sensitive", Shape::Bool, "Hidden unless asked for by name."),
    Property::new("description", TEXT, "What it is."),
];

/// The `clouds` section. A test keeps it equal to the types that hold it.
pub(super) static CLOUDS: [Property; 3] = [
    Property::new("aws", Shape::Object(&AWS), "The AWS account and region."),
    Property::new("gcp", Shape::Object(&GCP), "The Google Cloud project."),
    Property::new(
        "azure",
        Shape::Object(&AZURE),
        "The Azure subscription, with the default resource group and location.",
    ),
];

const ENDPOINT: Property = Property::new(
    "endpoint",
    Shape::Text(TextRule::matching(
        r"^(https://[^\s/?#@]+|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?)(/[^\s?#]*)?$",
        "an `https://` URL, or an `http://` one on this machine (`http://127.0.0.1:…`)",
    )),
    "Another endpoint for every service of the cloud, for emulators. Plain HTTP on loopback only.",
);

static AWS: [Property; 3] = [
    Property::new(
        "account",
        Shape::Text(TextRule::matching("^[0-9]{12}$", "the account's twelve digits")),
        "The twelve digits of the only account that mcm may touch.",
    )
    .required(),
    Property::new(
        "region",
        Shape::Text(TextRule::matching(
            "^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$",
            "a region's code, such as `us-east-1`",
        )),
        "The region of regional resources, such as `us-east-1`.",
    )
    .required(),
    ENDPOINT,
];

static GCP: [Property; 2] = [
    Property::new(
        "project",
        Shape::Text(
            TextRule::matching(
                "^([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]*[a-z0-9]$",
                "a project's id (not its number): lower-case letters, digits and `-`, beginning with a letter",
            )
            .sized(6, 63),
        ),
        "The project's id (not its number).",
    )
    .required(),
    ENDPOINT,
];

static AZURE: [Property; 4] = [
    Property::new(
        "subscription",
        Shape::Text(TextRule::matching(
            "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
            "a subscription's id, such as `00000000-0000-0000-0000-000000000000`",
        )),
        "The subscription's UUID.",
    )
    .required(),
    Property::new(
        "resourceGroup",
        Shape::Text(
            TextRule::matching(
                r"^[-\w._()]*[-\w_()]$",
                "letters, digits, `-`, `_`, `.`, `(` and `)`, not ending in `.`",
            )
            .sized(1, 90),
        ),
        "The resource group of resources that name none.",
    )
    .required(),
    Property::new(
        "location",
        Shape::Text(TextRule::matching("^[a-z][a-z0-9]{2,}$", "a location's short name, such as `eastus`")),
        "The location of resources that name none, such as `eastus`.",
    )
    .required(),
    ENDPOINT,
];
