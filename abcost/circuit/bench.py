"""A test bench of a top level: streams images in and logits out, stalling at random if asked, and prints every beat.

    I <image> <cycle>          the first beat of an image is taken
    L <cycle> <tdata, hex>     a beat of logits
    T <net> <value, hex>       a result of an engine, if it is asked for
    DONE <cycle> | STUCK <cycle> | MISALIGNED

It compares nothing: what is expected is not known to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from abcost.accelerator.design.network import NetworkDesign
from abcost.accelerator.design.network_interpret import quantised
from abcost.emit.top import Top

CAPACITY = 64
"""Images that one run of the simulator reads."""


@dataclass(frozen=True, slots=True)
class Beats:
    """What a bench reads and counts: beats of an image and of its logits; patience: cycles without any beat."""

    image: int
    logits: int
    patience: int


def beats_of(net: NetworkDesign, top: Top) -> Beats:
    """Beats of a network. patience: three times the cycles of all its engines together, and 10,000."""
    slowest = sum(stage.cycles for stage in net.stages)
    return Beats(net.image.elements // top.taken, top.answers // top.given, 3 * slowest + 10_000)


def images_hex(net: NetworkDesign, top: Top, images: Tensor) -> str:
    """A line for every beat of the images, padded with zeros to the capacity of the bench."""
    values = quantised(net, images).reshape(-1, top.taken).tolist()
    mask, digits = (1 << net.number.width) - 1, (top.input_slot * top.taken + 3) // 4
    lines = [
        f"{sum((v & mask) << (i * top.input_slot) for i, v in enumerate(row)):0{digits}x}" for row in values
    ]
    missing = CAPACITY * (net.image.elements // top.taken) - len(lines)
    return "\n".join([*lines, *(["0"] * missing)]) + "\n"


TRACE = "trace.vcd"
"""Every change of the nets of the top: its ports, and what goes between windows, engines and FIFOs.

One level deep, for that is where engines meet. Inside of them are twenty times as many nets even of a small network
(1,194 against 66, 31 MB against 1.6 of an image of digits), and more with PE and SIMD.
"""
_TRACED = f'    initial begin $dumpfile("{TRACE}"); $dumpvars(1, dut); end'


def bench_verilog(net: NetworkDesign, top: Top, watched: Sequence[str] = (), *, traced: bool = False) -> str:
    """Module `bench`, which reads images.hex. watched: nets of the top, each with a flag NET_valid.

    traced: it leaves TRACE.
    """
    beats = beats_of(net, top)
    total_bits = top.input_slot * top.taken
    watch = [
        f'        if (dut.{net_name}_valid & ~dut.reset) $display("T {net_name} %h", dut.{net_name});'
        for net_name in watched
    ]
    return "\n".join([
        "`timescale 1ns / 1ps",
        *(["/* verilator tracing_off */"] if traced else []),  # the bench's own; Verilator traces all modules else
        "module bench (input clk);",
        f"    reg [{total_bits - 1}:0] images [0:{CAPACITY * beats.image - 1}];",
        "    integer count, stalls, pause, seed;",
        "    reg [31:0] random_in, random_out;",
        "    reg aresetn = 0;",
        "    reg [3:0] started = 0;",
        "    reg tvalid = 0;",
        "    reg tready = 0;",
        "    integer cycle = 0, quiet = 0, beat = 0, of_image = 0, image = 0, of_logits = 0, answered = 0;",
        "    integer wait_in = 0, wait_out = 0;",
        f"    wire [{total_bits - 1}:0] tdata = images[beat];",
        f"    wire tlast = of_image == {beats.image - 1};",
        "    wire s_ready, m_valid, m_last, misaligned;",
        f"    wire [{top.output_slot * top.given - 1}:0] m_data;",
        *([_TRACED, "    /* verilator tracing_on */"] if traced else []),
        f"    {top.name} dut (.aclk(clk), .aresetn(aresetn), .s_axis_tdata(tdata), .s_axis_tvalid(tvalid),",
        "        .s_axis_tready(s_ready), .s_axis_tlast(tlast), .m_axis_tdata(m_data), .m_axis_tvalid(m_valid),",
        "        .m_axis_tready(tready), .m_axis_tlast(m_last), .misaligned(misaligned));",
        "    wire taken = tvalid & s_ready & aresetn;",
        "    wire given = tready & m_valid & aresetn;",
        "    initial begin",
        '        $readmemh("images.hex", images);',
        '        if (!$value$plusargs("images=%d", count)) count = 1;',
        '        if (!$value$plusargs("stalls=%d", stalls)) stalls = 0;',
        '        if (!$value$plusargs("pause=%d", pause)) pause = 1;',
        '        if (!$value$plusargs("seed=%d", seed)) seed = 1;',
        "        random_in = 32'h2545f491 ^ seed;",
        "        random_out = 32'h9e3779b9 ^ seed;",
        "    end",
        "    function [31:0] after;  // xorshift",
        "        input [31:0] x;",
        "        reg [31:0] y;",
        "        begin",
        "            y = x ^ (x << 13);",
        "            y = y ^ (y >> 17);",
        "            after = y ^ (y << 5);",
        "        end",
        "    endfunction",
        "    always @(posedge clk) begin",
        "        cycle <= cycle + 1;",
        "        if (started != 15) started <= started + 1;",
        "        aresetn <= started > 4;",
        "        random_in <= after(random_in);",
        "        random_out <= after(random_out);",
        "        quiet <= taken | given | ~aresetn ? 0 : quiet + 1;",
        "        if (taken) begin",
        '            if (of_image == 0) $display("I %0d %0d", image, cycle);',
        "            beat <= beat + 1;",
        "            of_image <= tlast ? 0 : of_image + 1;",
        "            if (tlast) begin image <= image + 1; wait_in <= stalls ? random_in[30:0] % pause : 0; end",
        "        end",
        "        else if (wait_in > 0) wait_in <= wait_in - 1;",
        "        if (taken | ~tvalid)",
        f"            tvalid <= started > 6 & (beat + (taken ? 1 : 0)) < count * {beats.image}",
        "                & (stalls == 0 | (random_in[3:2] == 0 & ~(taken & tlast) & wait_in == 0));",
        '        if (given) begin',
        '            $display("L %0d %h", cycle, m_data);',
        f'            if (m_last != (of_logits == {beats.logits - 1})) $display("MISALIGNED");',
        f"            of_logits <= of_logits == {beats.logits - 1} ? 0 : of_logits + 1;",
        f"            if (of_logits == {beats.logits - 1}) begin",
        "                answered <= answered + 1;",
        "                wait_out <= stalls ? random_out[30:0] % pause : 0;",
        "            end",
        "        end",
        "        else if (wait_out > 0) wait_out <= wait_out - 1;",
        "        tready <= stalls == 0 | (random_out[4:2] == 0 & wait_out == 0 & ~given);",
        '        if (misaligned) $display("MISALIGNED");',
        *watch,
        '        if (answered == count) begin $display("DONE %0d", cycle); $finish; end',
        f'        if (quiet > {beats.patience} + 2 * pause) begin $display("STUCK %0d", cycle); $finish; end',
        "    end",
        "endmodule",
        "",
    ])  # fmt: skip


CLOCK_VERILOG = """`timescale 1ns / 1ps
module clock;
    reg clk = 0;
    always #1 clk = ~clk;
    bench bench (.clk(clk));
endmodule
"""
"""For Icarus Verilog, which needs no other language."""

CLOCK_CPP = """#include "Vbench.h"
#include "verilated.h"
int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
#if VM_TRACE
    context.traceEverOn(true);
#endif
    Vbench bench(&context);
    while (!context.gotFinish()) {
        bench.clk = 0;
        bench.eval();
        context.timeInc(1000);
        bench.clk = 1;
        bench.eval();
        context.timeInc(1000);
    }
    bench.final();
    return 0;
}
"""
"""For Verilator: the fastest way to turn a clock; half a period is 1 ns, as for Icarus."""
