package dev.kindling.job;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Processes that say on their output when they are ready. */
final class Daemon {
  private Daemon() {}

  /**
   * Waits for the line that says so; returns its first group, or the line. The log is read on to
   * its end, so that the process never blocks.
   */
  static String ready(Process process, Pattern line) throws Exception {
    return follow(process, line).get(60, TimeUnit.SECONDS);
  }

  private static CompletableFuture<String> follow(Process process, Pattern ready) {
    CompletableFuture<String> found = new CompletableFuture<>();
    Thread reader =
        new Thread(
            () -> {
              StringBuilder log = new StringBuilder();
              try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                  log.append(line).append('\n');
                  Matcher matcher = ready.matcher(line);
                  if (matcher.find()) {
                    found.complete(matcher.groupCount() > 0 ? matcher.group(1) : line);
                  }
                }
              } catch (IOException e) {
                log.append(e);
              }
              found.completeExceptionally(new IllegalStateException("daemon ended:\n" + log));
            });
    reader.setDaemon(true);
    reader.start();
    return found;
  }
}
