//! What people write: wrong inputs and what they are told, the JSON Schema, and inputs that no one would write.

mod cases;
mod fuzz;
mod json_schema;
mod schema_check;
