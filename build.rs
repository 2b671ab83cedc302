//! The crate's C++.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=native");
    #[cfg(feature = "native")]
    compile_kernels();
    // torch-sys exports it; absent without the `torch` feature.
    if let Ok(libtorch_lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        #[cfg(feature = "torch")]
        compile_native(std::path::Path::new(&libtorch_lib));
        // RPATH of the binaries, so that they start from cron and from any folder: the folder of
        // this build, then `lib` beside a binary that was copied to another machine together with
        // its libraries. scripts/package.sh leaves the first out: it means nothing elsewhere.
        println!("cargo:rerun-if-env-changed=EC2TRAIN_BUNDLE");
        if std::env::var_os("EC2TRAIN_BUNDLE").is_none() {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch_lib}");
        }
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/lib");
        // `ec2train` calls nothing of libtorch, and is linked without it. The C++ glue to it is in the
        // crate's archive, though, and part of what libtorch may call back, unless it is hidden.
        println!("cargo:rustc-link-arg-bin=ec2train=-Wl,--exclude-libs,ALL");
    }
}

/// What needs a C++ compiler alone.
#[cfg(feature = "native")]
fn compile_kernels() {
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .files(["native/heap.cpp", "native/prefetch.cpp", "native/amx_emulated.cpp"])
        .extra_warnings(true)
        .opt_level(3)
        .compile("ec2train_any_cpu");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        compile_for_avx512("avx512bf16", &["native/bf16.cpp", "native/amx.cpp"]);
        compile_for_avx512("avx512vnni", &["native/int16.cpp"]);
    }
}

/// Products of 16-bit numbers. Only these files are compiled for the CPUs they are called on, which have
/// AVX-512 and `extension`.
#[cfg(feature = "native")]
fn compile_for_avx512(extension: &str, files: &[&str]) {
    let mut build = cc::Build::new();
    for name in ["avx512f", "avx512bw", "avx512dq", "avx512vl", extension] {
        build.flag(format!("-m{name}"));
    }
    build
        .cpp(true)
        .std("c++20")
        .files(files)
        // GCC's own headers leave registers undefined on purpose.
        .flag("-Wno-maybe-uninitialized")
        .flag("-Wno-uninitialized")
        .extra_warnings(true)
        .opt_level(3)
        .compile(&format!("ec2train_{extension}"));
}

/// The C++ seam to libtorch, against the headers that torch-sys takes.
#[cfg(feature = "torch")]
fn compile_native(libtorch_lib: &std::path::Path) {
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let include = std::env::var_os("LIBTORCH_INCLUDE").map_or_else(
        || libtorch_lib.with_file_name("include"),
        |libtorch| std::path::PathBuf::from(libtorch).join("include"),
    );
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++20")
        // c10d's header for Gloo is empty without it.
        .define("USE_C10D_GLOO", None)
        .include("native/include")
        // System headers: their warnings are not ours.
        .flag("-isystem")
        .flag(include.join("torch/csrc/api/include"))
        .flag("-isystem")
        .flag(include)
        // What GCC says of ATen's own loops where they are inlined.
        .flag_if_supported("-Wno-maybe-uninitialized")
        .extra_warnings(true);
    build.clone().file("native/sgd.cpp").opt_level(3).compile("ec2train_native_loops");
    // Here the work is done inside libtorch: more would only take longer to compile.
    build.files(["native/onednn.cpp", "native/c10d.cpp"]).opt_level(1).compile("ec2train_native");
}
