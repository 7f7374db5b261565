/**
 * The video events of Segment's Spec, with their documented properties and types: of the playback (what the player does),
 * of the content, and of ads. The Spec requires no property, and so nothing here does.
 *
 * https://www.twilio.com/docs/segment/connections/spec/video
 */
import * as Schema from "effect/Schema"
import * as TrackingPlan from "../TrackingPlan.ts"

const text = Schema.optionalKey(Schema.String)
const texts = Schema.optionalKey(Schema.Array(Schema.String))
const integer = Schema.optionalKey(Schema.Int)
const number = Schema.optionalKey(Schema.Finite)
const boolean = Schema.optionalKey(Schema.Boolean)

/** `null` where nothing of it is playing. */
const playing = Schema.optionalKey(Schema.NullOr(Schema.String))
/** Several where a playback is started. */
const several = Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.String, Schema.Array(Schema.String)])))
/** `null` for a livestream. */
const length = Schema.optionalKey(Schema.NullOr(Schema.Int))

const Roll = Schema.Literals(["pre-roll", "mid-roll", "post-roll"])

const player = {
  /** The same for all events of one playback. */
  session_id: text.annotate({ description: "The same for all events of one playback." }),
  ad_asset_id: several,
  ad_pod_id: several,
  ad_type: Schema.optionalKey(Schema.NullOr(Schema.Union([Roll, Schema.Array(Roll)]))),
  /** Where the playhead is, in seconds, ads included. */
  position: integer.annotate({ description: "Where the playhead is, in seconds, ads included." }),
  /** In seconds, ads included. */
  total_length: length.annotate({ description: "In seconds, ads included." }),
  /** In kbps. */
  bitrate: integer.annotate({ description: "In kbps." }),
  framerate: number,
  /** `youtube`, `vimeo`. */
  video_player: text.annotate({ description: "`youtube`, `vimeo`." }),
  /** From 0, muted, to 100. */
  sound: integer.annotate({ description: "From 0, muted, to 100." }),
  full_screen: boolean,
  ad_enabled: boolean,
  /** `hd1080`, `480p`. */
  quality: text.annotate({ description: "`hd1080`, `480p`." }),
  livestream: boolean
}

const playback = { ...player, content_asset_id: playing, content_pod_id: playing }

const content = {
  session_id: text,
  asset_id: text,
  pod_id: text,
  title: text,
  description: text,
  keywords: texts,
  season: text,
  episode: text,
  genre: text,
  program: text,
  publisher: text,
  /** Where the playhead is, in seconds, without ads. */
  position: integer.annotate({ description: "Where the playhead is, in seconds, without ads." }),
  /** In seconds, without ads. */
  total_length: length.annotate({ description: "In seconds, without ads." }),
  channel: text,
  full_episode: boolean,
  livestream: boolean,
  /** ISO 8601. */
  airdate: text.annotate({ description: "ISO 8601." }),
  bitrate: integer,
  framerate: number
}

const ad = {
  session_id: text,
  asset_id: text,
  pod_id: text,
  /** The place of the ad in its pod. */
  pod_position: integer.annotate({ description: "The place of the ad in its pod." }),
  /** How many ads there are in the pod. */
  pod_length: integer.annotate({ description: "How many ads there are in the pod." }),
  type: Schema.optionalKey(Roll),
  title: text,
  publisher: text,
  position: integer,
  total_length: integer,
  load_type: Schema.optionalKey(Schema.Literals(["linear", "dynamic"])),
  /** The content around the ad. */
  content: Schema.optionalKey(Schema.Struct(content)).annotate({ description: "The content around the ad." })
}

/** An event, and what happened. */
const event = <const Fields extends Schema.Struct.Fields>(description: string, fields: Fields) =>
  Schema.Struct(fields).annotate({ description })

/** The events, with their properties. @category schemas @since 0.1.0 */
export const events = {
  /** The user pressed play, and nothing is left to do. */
  "Video Playback Started": event("The user pressed play, and nothing is left to do.", {
    ...player,
    content_asset_ids: texts,
    content_pod_ids: texts,
    /** In one example of the Spec; its list of properties has `ad_asset_id`, and so on. */
    ad_asset_ids: texts.annotate({
      description: "In one example of the Spec; its list of properties has `ad_asset_id`, and so on."
    }),
    ad_pod_ids: texts,
    ad_types: Schema.optionalKey(Schema.Array(Roll))
  }),
  /** The user pressed pause. */
  "Video Playback Paused": event("The user pressed pause.", playback),
  /** The playback stopped, and the user did not mean it to. */
  "Video Playback Interrupted": event("The playback stopped, and the user did not mean it to.", {
    ...playback,
    /** By what: `browser redirect`, `call`. */
    method: text.annotate({ description: "By what: `browser redirect`, `call`." })
  }),
  /** The player started to load. */
  "Video Playback Buffer Started": event("The player started to load.", playback),
  /** The player has loaded. */
  "Video Playback Buffer Completed": event("The player has loaded.", playback),
  /** The user left a position for another. */
  "Video Playback Seek Started": event("The user left a position for another.", {
    ...playback,
    /** Where the user wants to go. */
    seek_position: integer.annotate({ description: "Where the user wants to go." })
  }),
  /** The user came to another position. */
  "Video Playback Seek Completed": event("The user came to another position.", playback),
  /** The user pressed play after a pause. */
  "Video Playback Resumed": event("The user pressed play after a pause.", playback),
  /** The playback is over. */
  "Video Playback Completed": event("The playback is over.", playback),
  /** The user went away. */
  "Video Playback Exited": event("The user went away.", playback),
  /** A part of the content began. */
  "Video Content Started": event("A part of the content began.", content),
  /** The content is playing; sent every few seconds. */
  "Video Content Playing": event("The content is playing; sent every few seconds.", content),
  /** A part of the content ended. */
  "Video Content Completed": event("A part of the content ended.", content),
  /** An ad began. */
  "Video Ad Started": event("An ad began.", ad),
  /** An ad is playing; sent every few seconds. */
  "Video Ad Playing": event("An ad is playing; sent every few seconds.", {
    ...ad,
    /** 1, 2 or 3. */
    quartile: integer.annotate({ description: "1, 2 or 3." })
  }),
  /** An ad ended. */
  "Video Ad Completed": event("An ad ended.", ad),
  /** The quality changed. */
  "Video Quality Updated": event("The quality changed.", {
    bitrate: integer,
    framerate: number,
    startupTime: number,
    droppedFrames: number
  })
}

/** The plan of the events. @category plans @since 0.1.0 */
export const plan: TrackingPlan.Plan<{ readonly name: "Video"; readonly events: typeof events }> = TrackingPlan.make({
  name: "Video",
  events
})
