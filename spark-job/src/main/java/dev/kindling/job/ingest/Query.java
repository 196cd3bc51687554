package dev.kindling.job.ingest;

import dev.kindling.job.config.Data;
import dev.kindling.job.storage.Location;
import java.util.Optional;

/**
 * Which rows of which data.
 *
 * @param location of files, or {@code table:} and a name
 * @param textColumn the column that becomes text
 * @param labelColumn the column that holds a class
 * @param filter an SQL condition on the data's own columns
 * @param limit most examples, the first ones in order
 * @param part of the rows
 */
public record Query(
    Location location,
    String textColumn,
    String labelColumn,
    Optional<String> filter,
    Optional<Integer> limit,
    Part part) {
  /**
   * A share of the rows, drawn by a hash of what each holds, so that a row is on the same side
   * wherever it lies and whatever else there is.
   *
   * @param share from 0 to 1; 0 for all rows
   * @param held whether the share is meant, rather than the rest
   */
  public record Part(double share, boolean held, long seed) {
    /** Every row. */
    public static final Part ALL = new Part(0, false, 0);
  }

  /** What is trained on. */
  public static Query trained(Data data, long seed) {
    Part rest = data.holdOut() > 0 ? new Part(data.holdOut(), false, seed) : Part.ALL;
    return of(data, "data.train", data.train().orElseThrow(), data.limit(), rest);
  }

  /** All of it, before anything is held out. */
  public static Query all(Data data) {
    return of(data, "data.train", data.train().orElseThrow(), Optional.empty(), Part.ALL);
  }

  /** What is held out of what is trained on. */
  public static Query heldOut(Data data, long seed) {
    Part share = new Part(data.holdOut(), true, seed);
    return of(data, "data.train", data.train().orElseThrow(), Optional.empty(), share);
  }

  /** What is evaluated. */
  public static Query evaluated(Data data) {
    String location = data.validation().orElseThrow();
    return of(data, "data.validation", location, Optional.empty(), Part.ALL);
  }

  private static Query of(
      Data data, String key, String location, Optional<Integer> limit, Part part) {
    return new Query(
        new Location(key, location),
        data.textColumn(),
        data.labelColumn(),
        data.filter(),
        limit,
        part);
  }

  /** Whether a table of Spark's catalog is meant. */
  boolean isTable() {
    return location.text().startsWith(Location.TABLE);
  }

  /** Name of the table. */
  String table() {
    return location.text().substring(Location.TABLE.length());
  }
}
