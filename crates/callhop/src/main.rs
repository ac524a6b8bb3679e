//! The program `callhop`.

fn main() {
    println!("{:#?}", callhop::config::Config::default());
}
