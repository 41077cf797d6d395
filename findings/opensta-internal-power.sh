#!/usr/bin/env bash
# OpenSTA as Debian 12 has it (0~20191111gitc018cb2): report_power counts internal power twice as high as switching power of the same activity.
# A buffer of 1 V drives 1 pF, so each transition of its output switches 1/2 C V^2 = 0.5 pJ; its Liberty file gives 0.5 pJ of internal energy for a
# rise and 0.5 pJ for a fall. At one transition a second the tool prints 0.5 pW of switching power (so an activity of 1 is one transition) and
# 1 pW of internal power: the energies of a rise and of a fall are added for every transition.
# Output seen: internal 1.000e-12 W, switching 5.000e-13 W.
# Beside it: without default_operating_conditions every power is 0 without a warning, nom_voltage or not; activities of a
# design without a clock are per second, whatever create_clock says; set_power_activity -pins ends in "invalid command name get_pins_error".
# Usual wrong guess: both columns of a power report are per transition, so that their sum is an oracle for a count of transitions.
# Touches: cross-checks of switching energy: halve the internal column. For timing the tool is one.
# Exits 1 if the ratio is another. Needs libtcl8.6 (a dependency of Debian's package).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet "opensta=0~20191111gitc018cb2+dfsg-1" >/dev/null 2>&1
dpkg-deb -x opensta_*.deb tool
cat > tiny.lib <<'LIB'
library (tiny) {
  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW"; capacitive_load_unit (1, pf);
  nom_voltage : 1; nom_process : 1; nom_temperature : 25; default_max_transition : 5;
  operating_conditions (typical) { process : 1; temperature : 25; voltage : 1; } default_operating_conditions : typical;
  input_threshold_pct_rise : 50; output_threshold_pct_rise : 50; slew_lower_threshold_pct_rise : 20; slew_upper_threshold_pct_rise : 80;
  input_threshold_pct_fall : 50; output_threshold_pct_fall : 50; slew_lower_threshold_pct_fall : 20; slew_upper_threshold_pct_fall : 80;
  power_lut_template (flat) { variable_1 : total_output_net_capacitance; variable_2 : input_transition_time; index_1 ("0, 2"); index_2 ("0, 2"); }
  cell (BUF) { area : 1; pin (A) { direction : input; capacitance : 0.001; }
    pin (Y) { direction : output; function : "A";
      timing () { related_pin : "A"; timing_sense : positive_unate; cell_rise (scalar) { values ("0.1"); } cell_fall (scalar) { values ("0.1"); }
        rise_transition (scalar) { values ("0.1"); } fall_transition (scalar) { values ("0.1"); } }
      internal_power () { related_pin : "A"; rise_power (flat) { values ("0.5, 0.5", "0.5, 0.5"); } fall_power (flat) { values ("0.5, 0.5", "0.5, 0.5"); } } } }
}
LIB
echo 'module top (a, y); input a; output y; BUF c (.A(a), .Y(y)); endmodule' > top.v
printf '%s\n' "read_liberty tiny.lib" "read_verilog top.v" "link_design top" "create_clock -name clk -period 10" "set_load 1 [get_ports y]" \
    "set_power_activity -input -activity 1 -duty 0.5" "report_power -digits 9" "exit" > power.tcl
read -r internal switching < <(tool/usr/bin/sta -no_splash -exit power.tcl | awk '/^Total/ && NF > 4 {print $2, $3}')
ratio=$(awk -v a="$internal" -v b="$switching" 'BEGIN {printf "%.2f", a / b}')
echo "internal $internal W, switching $switching W: $ratio times"
[ "$ratio" = 2.00 ]
