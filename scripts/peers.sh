# shellcheck shell=bash
# The drivers of other runtimes, for those scripts that measure (bench/README.md). Sourced, after scripts/lib.sh.

all_peers=(go tokio rayon tbb libuv node hyper fasthttp nginx redis openmp)

# Debian puts the sources of Rust's libraries here, and cargo can build from them.
crates=/usr/share/cargo/registry
# What each needs: prepare_peer and take_peer find it by the peer's name.
# shellcheck disable=SC2034
{
    go_needs=('command -v go' golang-go)
    tokio_needs=(
        'command -v cargo' cargo
        "compgen -G '$crates/tokio-1.*'" librust-tokio-dev
        "compgen -G '$crates/async-channel-1.*'" librust-async-channel-dev
        "compgen -G '$crates/mio-0.*'" librust-mio-dev
        "compgen -G '$crates/socket2-0.*'" librust-socket2-dev
    )
    rayon_needs=(
        'command -v cargo' cargo
        "compgen -G '$crates/rayon-1.*'" librust-rayon-dev
        "compgen -G '$crates/libc-0.2.*'" librust-libc-dev
    )
    tbb_needs=('echo "#include <tbb/task_group.h>" | g++ -E -x c++ -' libtbb-dev)
    libuv_needs=('pkg-config --exists libuv' libuv1-dev)
    node_needs=('command -v node' nodejs)
    hyper_needs=('command -v cargo' cargo "compgen -G '$crates/hyper-0.14*'" librust-hyper-dev)
    gocode=/usr/share/gocode # and here those of Go's
    fasthttp_needs=(
        'command -v go' golang-go
        "test -d $gocode/src/github.com/valyala/fasthttp" golang-github-valyala-fasthttp-dev
    )
    nginx_needs=('command -v nginx' nginx-light)
    redis_needs=('command -v redis-server' redis-server)
    openmp_needs=('echo "#include <omp.h>" | gcc -fopenmp -E -x c -' gcc)
}

# build_rust_peer <name>: in a copy, as cargo leaves a lock file beside the manifest.
build_rust_peer()
{
    local to=build/bench/peers
    mkdir -p "$to/$1" &&
        cp -R "bench/peers/$1/." "$to/$1" &&
        cargo build --quiet --offline --release --manifest-path "$to/$1/Cargo.toml" \
            --target-dir "$to/$1/target" --config 'source.crates-io.replace-with="debian"' \
            --config "source.debian.directory=\"$crates\"" &&
        cp "$to/$1/target/release/$1-peer" "$to/$1-peer"
}

# What the peers in C and C++ share with skua-bench-work, compiled as that is.
shared=(bench/cases/{forkjoin,loops,matmul_base,measure,serial}.c)
c_flags=(-std=gnu11 -O3 -g -DNDEBUG -I.)

# build_peer <name>: build/bench/peers/<name>-peer
build_peer()
{
    local to=build/bench/peers file
    case $1 in
    go) GOCACHE=$PWD/build/bench/go-cache go build -o "$to/go-peer" ./bench/peers/go/*.go ;;
    fasthttp)
        GO111MODULE=off GOPATH=$gocode GOCACHE=$PWD/build/bench/go-cache \
            go build -o "$to/fasthttp-peer" ./bench/peers/go-fasthttp/main.go
        ;;
    tokio | rayon | hyper) build_rust_peer "$1" ;;
    nginx | redis) install "bench/peers/$1/$1-peer" "$to/$1-peer" ;;
    tbb)
        mkdir -p "$to/tbb"
        for file in "${shared[@]}"; do
            gcc "${c_flags[@]}" -c "$file" -o "$to/tbb/$(basename "$file").o" || return
        done
        g++ -std=c++17 -O3 -g -DNDEBUG -I. bench/peers/tbb/main.cc "$to"/tbb/*.o -o "$to/tbb-peer" -ltbb
        ;;
    libuv)
        # shellcheck disable=SC2046 # several words
        gcc "${c_flags[@]}" bench/peers/libuv/main.c -o "$to/libuv-peer" $(pkg-config --cflags --libs libuv)
        ;;
    node) node --check bench/peers/node/main.js && install bench/peers/node/main.js "$to/node-peer" ;;
    openmp) gcc "${c_flags[@]}" -fopenmp bench/peers/openmp/main.c "${shared[@]}" -o "$to/openmp-peer" ;;
    esac
}

# peer_variable <name>: what tells skua-bench its path.
peer_variable()
{
    echo "SKUA_BENCH_${1^^}"
}

forget_peers()
{
    local peer
    for peer in "${all_peers[@]}"; do
        unset "$(peer_variable "$peer")"
    done
}

# offer_peer <name>: builds it, if it can be, and exports its path.
offer_peer()
{
    local program=$PWD/build/bench/peers/$1-peer
    mkdir -p build/bench/peers
    rm -f "$program"
    if say "Build: $1-peer" && ! build_peer "$1"; then
        echo "peer $1: SKIPPED: it could not be built"
        return
    fi
    export "$(peer_variable "$1")=$program"
    echo "peer $1: $program"
}

# prepare_peer <name>: likewise, after installing what it needs.
prepare_peer()
{
    local -n needs=$1_needs
    if (set_up "${needs[@]}"); then
        offer_peer "$1"
    else
        echo "peer $1: SKIPPED: what it needs is not there and could not be installed"
    fi
}

# take_peer <name>: likewise, but only if all is there already.
take_peer()
{
    local -n needs=$1_needs
    if are_there "${needs[@]}"; then
        offer_peer "$1"
    else
        echo "peer $1: not here (scripts/bench --peers installs it)"
    fi
}

say_peers()
{
    local peer variable
    for peer in "${all_peers[@]}"; do
        variable=$(peer_variable "$peer")
        echo "peer:    $peer ${!variable:-SKIPPED}"
    done
}
