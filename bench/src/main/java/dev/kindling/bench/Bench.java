package dev.kindling.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.bench.peer.Peer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** The command line: every case against libtorch. */
@Command(
    name = "bench/run",
    description = "One training step against libtorch: a table on stderr, JSON lines on stdout.",
    mixinStandardHelpOptions = true)
public final class Bench implements Callable<Integer> {
  private static final int ROUNDS = 9;

  /** With the warm-up two steps, after which memory grows no more. */
  private static final int MEMORY_ROUNDS = 1;

  @Option(names = "--quick", description = "Four cases, two threads: within ten minutes.")
  private boolean quick;

  @Option(
      names = "--only",
      paramLabel = "NAME",
      description = "Cases whose label begins so: llama-60m, or llama-60m-r8-2048-2t.")
  private String only = "";

  @Option(names = "--results", hidden = true)
  private Path results = Path.of("bench/results");

  @Override
  public Integer call() {
    List<Case> cases = new ArrayList<>(quick ? Case.quick() : Case.all());
    cases.removeIf(one -> !one.label().startsWith(only));
    if (cases.isEmpty()) {
      System.err.println("no case begins with '" + only + "'");
      return CommandLine.ExitCode.USAGE;
    }
    for (Precision precision : Precision.values()) {
      if (Ours.backends().stream().noneMatch(backend -> Ours.offers(backend, precision))) {
        System.err.println("no backend computes in " + precision.label() + ": no such rows");
      }
    }
    Report report = new Report(results);
    boolean agree = true;
    for (Case one : cases) {
      for (Row row : rows(one)) {
        report.add(row);
        agree &= row.lossesAgree();
      }
    }
    return agree ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
  }

  /** Times all sides of a case in one process, then finds the peak of each that a row names. */
  private static List<Row> rows(Case setting) {
    List<String> sides = new ArrayList<>();
    for (Precision precision : Precision.values()) {
      List<String> ours = new ArrayList<>(Ours.backends());
      ours.removeIf(backend -> !Ours.offers(backend, precision));
      ours.forEach(backend -> sides.add(Row.side(backend, precision)));
      if (!ours.isEmpty() || precision == Precision.FP32) {
        sides.add(Row.side(Peer.NAME, precision));
      }
    }
    Measurement together = Child.measure(setting, sides, ROUNDS);
    Map<String, Double> peaks = new HashMap<>();
    List<Row> rows = new ArrayList<>();
    for (Precision precision : Precision.values()) {
      for (String backend : Ours.backends()) {
        if (Ours.offers(backend, precision)) {
          rows.add(
              Row.of(
                  setting,
                  backend,
                  precision,
                  together,
                  side -> peaks.computeIfAbsent(side, name -> peakMb(setting, name))));
        }
      }
    }
    return rows;
  }

  private static double peakMb(Case setting, String side) {
    return Child.measure(setting, List.of(side), MEMORY_ROUNDS).peakMb();
  }

  @Command(hidden = true, description = "Times the given sides in this process.")
  int measure(
      @Option(names = "--rounds", defaultValue = "9") int rounds,
      @Parameters(index = "0") String label,
      @Parameters(index = "1..*") List<String> sides)
      throws JsonProcessingException {
    Measurement found = Measurement.of(Case.of(label), sides, rounds);
    System.out.println(new ObjectMapper().writeValueAsString(found));
    return CommandLine.ExitCode.OK;
  }

  /** Exits with 1 if losses disagree. */
  public static void main(String[] args) {
    System.exit(new CommandLine(new Bench()).execute(args));
  }
}
