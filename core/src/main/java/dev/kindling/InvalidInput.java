package dev.kindling;

/**
 * The user's data, base or adapter cannot be used. The message says where, what was found, what was
 * expected and what to do; a stack trace adds nothing for the reader.
 */
public final class InvalidInput extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final String found;
  private final String expected;

  /**
   * @param where the file (with byte offset or row) or the thing at fault
   * @param found what is there
   * @param expected what should be there, and what to do about it
   */
  public InvalidInput(String where, String found, String expected) {
    super(where + ": " + found + "; " + expected);
    this.found = found;
    this.expected = expected;
  }

  /** What is there. */
  public String found() {
    return found;
  }

  /** What should be there, and what to do about it. */
  public String expected() {
    return expected;
  }
}
