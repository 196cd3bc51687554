package dev.kindling.job.config;

import java.util.List;

/** The configuration cannot be run; holds every problem found, one sentence each. */
public final class ConfigProblems extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final List<String> problems;

  public ConfigProblems(List<String> problems) {
    super(String.join("\n", problems));
    this.problems = List.copyOf(problems);
  }

  public List<String> problems() {
    return problems;
  }

  /** Throws if there is any problem. */
  public static void check(List<String> problems) {
    if (!problems.isEmpty()) {
      throw new ConfigProblems(problems);
    }
  }
}
