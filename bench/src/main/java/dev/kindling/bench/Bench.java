package dev.kindling.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** TODO. */
@Command(name = "bench/run")
public final class Bench implements Callable<Integer> {
  @Override
  public Integer call() {
    return 0;
  }

  @Command(hidden = true)
  int measure(
      @Option(names = "--rounds", defaultValue = "9") int rounds,
      @Parameters(index = "0") String label,
      @Parameters(index = "1..*") List<String> sides)
      throws Exception {
    System.out.println(
        new ObjectMapper().writeValueAsString(Measurement.of(Case.of(label), sides, rounds)));
    return 0;
  }

  /** Command line. */
  public static void main(String[] args) {
    System.exit(new CommandLine(new Bench()).execute(args));
  }
}
