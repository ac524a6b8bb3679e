//! A migration that was added is a reason to compile again, which cargo cannot see by itself.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
