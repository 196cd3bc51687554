package dev.kindling.bench.single;

import java.io.IOException;

/**
 * The command {@code bench/single}: {@code wider}, {@code plans}, {@code crossover}, {@code coded}
 * or {@code kept} for a comparison, anything else for JMH.
 */
public final class Main {
  private Main() {}

  /** Exits with an exception if anything fails. */
  public static void main(String[] args) throws IOException {
    String only = args.length > 1 ? args[1] : "";
    switch (args.length > 0 ? args[0] : "") {
      case "wider" -> WiderProducts.print();
      case "plans" -> PlannedPairs.print(PlannedPairs.atManyTokens(), 2, only);
      case "crossover" -> PlannedPairs.print(PlannedPairs.atTheCrossover(), 1, only);
      case "coded" -> CodedProducts.print();
      case "kept" -> KeptProjections.print();
      default -> org.openjdk.jmh.Main.main(args);
    }
  }
}
